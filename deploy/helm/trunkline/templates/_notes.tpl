{{/* What is said after an installation; NOTES.txt shows it, and a test reads it. */}}
{{- define "trunkline.notes" -}}
{{- $router := include "trunkline.part" (dict "root" . "part" "router") -}}
{{- $scheme := ternary "https" "http" (eq (include "trunkline.identity.given" .Values.router.tls) "yes") -}}
{{- $model := default "MODEL" .Values.test.model -}}
Trunkline {{ .Chart.AppVersion }} is in the namespace {{ .Release.Namespace }}.

Wait for it:
  kubectl -n {{ .Release.Namespace }} wait pod -l app.kubernetes.io/instance={{ .Release.Name }} --for condition=Ready --timeout 2m

The first call, with a key of yours{{ if eq $model "MODEL" }} and a model of your catalog{{ end }}:
  kubectl -n {{ .Release.Namespace }} port-forward service/{{ $router }} 8080:{{ .Values.router.service.port }} &
  curl {{ if eq $scheme "https" }}--insecure {{ end }}{{ $scheme }}://127.0.0.1:8080/v1/chat/completions \
    -H "authorization: Bearer $TRUNKLINE_KEY" -H 'content-type: application/json' \
    -d '{"model": {{ $model | quote }}, "messages": [{"role": "user", "content": "hello"}]}'
{{- if .Values.test.model }}
or
  helm -n {{ .Release.Namespace }} test {{ .Release.Name }}
{{- end }}

Within the cluster:
  HTTP   {{ $scheme }}://{{ $router }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:{{ .Values.router.service.port }}/v1
  gRPC   dns:///{{ $router }}-headless.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:8080, with round_robin

Operate it:
  kubectl -n {{ .Release.Namespace }} port-forward deployment/{{ $router }}-{{ (first .Values.zones).name }} 9091 9090 &
{{- if eq .Values.admin.access "mtls" }}
  admin-cli --endpoint https://{{ include "trunkline.admin.host" . }}:9091 --ca ca.crt --cert tls.crt --cert-key tls.key doctor
  within the cluster, or with https://127.0.0.1:9091 here, where the port's certificate is for that address, too
{{- else }}
  TRUNKLINE_ADMIN_KEY=… admin-cli --endpoint http://127.0.0.1:9091 doctor
{{- end }}
  the status page is http://127.0.0.1:9090/
{{- if and (eq .Values.admin.access "mtls") (not .Values.router.config.admin_roles) }}

Mind: no certificate may do anything on the admin API by itself. Name one in router.config.admin_roles, or set
TRUNKLINE_ADMIN_KEY, too.
{{- end }}
{{- if not (and .Values.networkPolicy.enabled .Values.networkPolicy.monitoring) }}

Mind: every pod of the cluster can reach the operations port, which asks nobody who they are. Name your Prometheus in
networkPolicy.monitoring.
{{- end }}
{{- $probers := 0 }}{{ range .Values.zones }}{{ $probers = add $probers (int .probers) }}{{ end }}
{{- if .Values.etcd.trial.enabled }}

Mind: etcd.trial is one member without TLS. For production name your own etcd in etcd.endpoints.
{{- end }}
{{- if not .Values.bootstrap.catalog }}

Mind: without bootstrap.catalog routers are not ready until your etcd has a catalog: admin-cli catalog apply.
{{- end }}
{{- if not (or .Values.bootstrap.keys .Values.bootstrap.keysSecret) }}

Mind: without bootstrap.keys nobody may call unless your etcd has keys already.
{{- end }}
{{- if lt (int $probers) 3 }}

Mind: fewer than three probers can take nothing out of service. Give the zones three or more.
{{- end }}
{{- if eq (len .Values.zones) 1 }}

Mind: all routers and probers say that they stand in the zone {{ (first .Values.zones).name }}. With an entry of `zones` for each zone of
the cluster, faults of a zone are told from faults of a provider.
{{- end }}
{{- if eq .Values.evidence.access "none" }}

Mind: probers work by probes alone. Set evidence.access to let routers tell them what live traffic saw.
{{- end }}
{{- if eq .Values.evidence.access "open" }}

Mind: evidence.access is open: network policies alone keep strangers from pretending to be routers.
{{- end }}
{{- if eq .Values.admin.access "open" }}

Mind: admin.access is open: keys alone keep strangers from steering traffic, and they travel unencrypted.
{{- end }}
{{- end -}}
