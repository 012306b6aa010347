{{/* The file of `router-node serve --config`, as JSON: YAML would write large numbers as 1e+06. */}}
{{- define "trunkline.router.config" -}}
{{- $admin := .Values.admin -}}
{{- $all := include "trunkline.all" . -}}
{{- $config := dict "listen" (printf "%s:8080" $all) "ops" (printf "%s:9090" $all) "admin" "127.0.0.1:9091" -}}
{{- if ne $admin.access "loopback" -}}
{{- $_ := set $config "admin" (printf "%s:9091" $all) -}}
{{- end -}}
{{- if eq $admin.access "open" -}}
{{- $_ := set $config "allow_open_admin" true -}}
{{- end -}}
{{- if eq $admin.access "mtls" -}}
{{- $tls := include "trunkline.serverTls" (dict "name" "admin" "identity" $admin.tls "clientCa" true) | fromJson -}}
{{- $_ := set $tls "peer_name" (default (include "trunkline.admin.host" .) $admin.peerName) -}}
{{- $_ := set $config "admin_tls" $tls -}}
{{- end -}}
{{- if include "trunkline.identity.given" .Values.router.tls -}}
{{- $_ := set $config "tls" (include "trunkline.serverTls" (dict "name" "public" "identity" .Values.router.tls "clientCa" .Values.router.clientCa) | fromJson) -}}
{{- end -}}
{{- if eq .Values.evidence.access "mtls" -}}
{{- $_ := set $config "evidence_tls" (include "trunkline.clientTls" (dict "name" "evidence" "identity" .Values.evidence.tls.router) | fromJson) -}}
{{- end -}}
{{- if include "trunkline.identity.given" .Values.tracing.tls -}}
{{- $_ := set $config "tracing" (dict "otlp" (dict "tls" (include "trunkline.clientTls" (dict "name" "collector" "identity" .Values.tracing.tls) | fromJson))) -}}
{{- end -}}
{{- $etcd := dict "endpoints" (splitList "," (include "trunkline.etcd.endpoints" .)) "snapshot_dir" "/var/lib/trunkline/etcd" -}}
{{- if include "trunkline.identity.given" .Values.etcd.tls.router -}}
{{- $_ := set $etcd "tls" (include "trunkline.clientTls" (dict "name" "etcd" "identity" .Values.etcd.tls.router) | fromJson) -}}
{{- end -}}
{{- $_ := set $config "store" (dict "etcd" $etcd) -}}
{{- $documents := dict -}}
{{- range $kind := list "catalog" "policy" -}}
{{- if get $.Values.bootstrap $kind -}}
{{- $_ := set $documents $kind (printf "/etc/trunkline/documents/%s" $kind) -}}
{{- end -}}
{{- end -}}
{{- if or .Values.bootstrap.keys .Values.bootstrap.keysSecret -}}
{{- $_ := set $documents "keys" "/etc/trunkline/keys/keys" -}}
{{- end -}}
{{- if $documents -}}
{{- $_ := set $config "bootstrap" $documents -}}
{{- end -}}
{{- if .Values.keyPepper.secretName -}}
{{- $_ := set $config "key_pepper" (dict "file" (printf "/etc/trunkline/pepper/%s" .Values.keyPepper.key)) -}}
{{- end -}}
{{- mustMergeOverwrite $config (deepCopy .Values.router.config) | toPrettyJson -}}
{{- end -}}

{{/* The host at which operators reach the admin API of any router. */}}
{{- define "trunkline.admin.host" -}}
{{- printf "%s-admin.%s.svc.%s" (include "trunkline.part" (dict "root" . "part" "router")) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{/* Paths of a port's identity, as JSON. Takes name, identity, clientCa. */}}
{{- define "trunkline.serverTls" -}}
{{- $tls := dict -}}
{{- range $file := list "cert" "key" -}}
{{- $_ := set $tls $file (include "trunkline.identity.path" (dict "name" $.name "identity" $.identity "file" $file)) -}}
{{- end -}}
{{- if .clientCa -}}
{{- $_ := set $tls "client_ca" (include "trunkline.identity.path" (dict "name" .name "identity" .identity "file" "ca")) -}}
{{- end -}}
{{- toJson $tls -}}
{{- end -}}

{{/* Paths of a client's identity, as JSON. Takes name and identity. */}}
{{- define "trunkline.clientTls" -}}
{{- $tls := dict -}}
{{- range $file := list "ca" "cert" "key" -}}
{{- $_ := set $tls $file (include "trunkline.identity.path" (dict "name" $.name "identity" $.identity "file" $file)) -}}
{{- end -}}
{{- toJson $tls -}}
{{- end -}}

{{/* The identities that a router's pod holds. */}}
{{- define "trunkline.router.identities" -}}
{{- $identities := dict "public" .Values.router.tls "etcd" .Values.etcd.tls.router "collector" .Values.tracing.tls -}}
{{- if eq .Values.admin.access "mtls" -}}
{{- $_ := set $identities "admin" .Values.admin.tls -}}
{{- end -}}
{{- if eq .Values.evidence.access "mtls" -}}
{{- $_ := set $identities "evidence" .Values.evidence.tls.router -}}
{{- end -}}
{{- toJson $identities -}}
{{- end -}}

{{/* Seconds from SIGTERM, or from preStop, to SIGKILL: all waits, and five seconds beyond the five in which the
     router ends its tasks. */}}
{{- define "trunkline.router.termination" -}}
{{- $drain := .Values.router.config.drain -}}
{{- $ms := add (int64 $drain.wait_ms) (int64 $drain.grace_ms) -}}
{{- add (int64 .Values.router.preStopSeconds) (div (add $ms 999) 1000) 10 -}}
{{- end -}}
