{{/* Where parts listen, what Services are reached at, who may reach a part, and whom it may reach. */}}

{{/* The address that stands for all of a pod's; that of IPv6 takes IPv4, too. */}}
{{- define "trunkline.all" -}}
{{- ternary "[::]" "0.0.0.0" (has "IPv6" .Values.ipFamilies) -}}
{{- end -}}

{{/* The families of a Service's addresses, where there are two; else the cluster's choice. */}}
{{- define "trunkline.families" -}}
{{- if gt (len .Values.ipFamilies) 1 -}}
ipFamilyPolicy: RequireDualStack
ipFamilies: [{{ join ", " .Values.ipFamilies }}]
{{- end -}}
{{- end -}}

{{/* A peer of a network policy: the pods of a part. Takes root and part. */}}
{{- define "trunkline.peer" -}}
- podSelector:
    matchLabels:
      {{- include "trunkline.selector" . | nindent 6 }}
{{- end -}}

{{/* Rules for callers, operators and each other; the operations port has a rule for every part. Takes root and part. */}}
{{- define "trunkline.ingress" -}}
{{- $values := .root.Values -}}
{{- if eq .part "router" -}}
- ports: [{protocol: TCP, port: 8080}]
  {{- with $values.networkPolicy.callers }}
  from:
    {{- toYaml . | nindent 4 }}
    {{- include "trunkline.peer" (dict "root" $.root "part" "test") | nindent 4 }}
  {{- end }}
{{- if ne $values.admin.access "loopback" }}
- ports: [{protocol: TCP, port: 9091}]
  from:
    {{- include "trunkline.peer" . | nindent 4 }}
    {{- with $values.networkPolicy.operators }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- else if ne $values.evidence.access "none" -}}
- ports: [{protocol: TCP, port: 9092}]
  from:
    {{- include "trunkline.peer" (dict "root" .root "part" "router") | nindent 4 }}
{{- end }}
{{- end -}}

{{/* The way to etcd: its pods, or the ports that its URLs name. */}}
{{- define "trunkline.egress.etcd" -}}
{{- if .Values.etcd.trial.enabled -}}
- ports: [{protocol: TCP, port: 2379}]
  to:
    {{- include "trunkline.peer" (dict "root" . "part" "etcd") | nindent 4 }}
{{- else -}}
{{- $ports := list -}}
{{- range .Values.etcd.endpoints -}}
{{- $usual := ternary "443" "80" (hasPrefix "https://" .) -}}
{{- $ports = append $ports (default $usual (regexFind ":[0-9]+$" (trimSuffix "/" .) | trimPrefix ":")) -}}
{{- end -}}
- ports:
    {{- range uniq $ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .Values.networkPolicy.etcd }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Routers tell probers what live traffic saw, and ask each other for records. Takes root and part. */}}
{{- define "trunkline.egress.parts" -}}
{{- if eq .part "router" -}}
{{- if ne .root.Values.evidence.access "none" }}
- ports: [{protocol: TCP, port: 9092}]
  to:
    {{- include "trunkline.peer" (dict "root" .root "part" "prober") | nindent 4 }}
{{- end }}
{{- if ne .root.Values.admin.access "loopback" }}
- ports: [{protocol: TCP, port: 9091}]
  to:
    {{- include "trunkline.peer" . | nindent 4 }}
{{- end }}
{{- end -}}
{{- end -}}
