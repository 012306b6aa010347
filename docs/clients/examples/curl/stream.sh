#!/bin/sh
: "${URL:=http://127.0.0.1:8080}" "${KEY:=dev}" "${MODEL:=sim/chat}"

curl --silent --show-error --no-buffer "$URL/v1/chat/completions" -H "authorization: Bearer $KEY" -d '{
  "model": "'"$MODEL"'",
  "stream": true,
  "stream_options": {"include_usage": true},
  "messages": [{"role": "user", "content": "one two three"}]
}'
