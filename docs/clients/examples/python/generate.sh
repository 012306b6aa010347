#!/bin/sh
# Writes the stubs into gen/. PROTO is the folder proto/ of Trunkline.
set -eu
: "${PROTO:=../../../../proto}"
mkdir -p gen
python -m grpc_tools.protoc --proto_path="$PROTO" \
    --python_out=gen --pyi_out=gen --grpc_python_out=gen \
    "$PROTO"/trunkline/inference/v1/*.proto "$PROTO"/trunkline/health/v1/verdict.proto
