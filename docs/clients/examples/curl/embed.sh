#!/bin/sh
: "${URL:=http://127.0.0.1:8080}" "${KEY:=dev}" "${MODEL:=sim/embedding}"

curl --silent --show-error "$URL/v1/embeddings" -H "authorization: Bearer $KEY" -d '{
  "model": "'"$MODEL"'",
  "input": ["red", "blue"]
}'
