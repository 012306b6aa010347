#!/bin/sh
: "${URL:=http://127.0.0.1:8080}" "${KEY:=dev}" "${MODEL:=sim/chat}"

curl --silent --show-error --no-buffer --max-time 2 \
  "$URL/v1/chat/completions" -H "authorization: Bearer $KEY" -d '{
  "model": "'"$MODEL"'",
  "stream": true,
  "messages": [{"role": "user", "content": "one two three"}]
}'
