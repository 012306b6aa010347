#!/bin/sh
: "${URL:=http://127.0.0.1:8080}" "${KEY:=dev}"

curl --silent --show-error "$URL/v1/chat/completions" -H "authorization: Bearer $KEY" -d '{
  "model": "no/such-model",
  "messages": [{"role": "user", "content": "one two three"}]
}'
