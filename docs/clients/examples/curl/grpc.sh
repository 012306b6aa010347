#!/bin/sh
: "${URL:=http://127.0.0.1:8080}" "${KEY:=dev}" "${MODEL:=sim/chat}"

buf curl --protocol grpc --http2-prior-knowledge \
  "$URL/trunkline.inference.v1.InferenceService/Chat" -H "authorization: Bearer $KEY" -d '{
  "model": "'"$MODEL"'",
  "messages": [{"role": "ROLE_USER", "content": "one two three"}]
}'
