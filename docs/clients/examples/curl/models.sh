#!/bin/sh
: "${URL:=http://127.0.0.1:8080}" "${KEY:=dev}"

curl --silent --show-error "$URL/v1/models" -H "authorization: Bearer $KEY"
