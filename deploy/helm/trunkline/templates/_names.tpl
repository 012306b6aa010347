{{/* Names and labels. */}}

{{- define "trunkline.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 26 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 26 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a part's objects are called. Takes root and part. */}}
{{- define "trunkline.part" -}}
{{- printf "%s-%s" (include "trunkline.fullname" .root) .part -}}
{{- end -}}

{{/* What selects a part's pods; it never changes in the life of a release. Takes root and part. */}}
{{- define "trunkline.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{/* Labels of a part's pods: nothing that another version of the chart would change, since that restarts them. Takes
     root and part. */}}
{{- define "trunkline.podLabels" -}}
{{ include "trunkline.selector" . }}
app.kubernetes.io/part-of: trunkline
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a part's objects. Takes root and part. */}}
{{- define "trunkline.labels" -}}
{{ include "trunkline.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image of Trunkline's: by digest if there is one. Takes root and image. */}}
{{- define "trunkline.image" -}}
{{- $name := .image.repository -}}
{{- with .root.Values.image.registry | trimSuffix "/" -}}
{{- $name = printf "%s/%s" . $name -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion .root.Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The client URLs of etcd, separated by commas. */}}
{{- define "trunkline.etcd.endpoints" -}}
{{- if .Values.etcd.trial.enabled -}}
{{- printf "http://%s.%s.svc.%s:2379" (include "trunkline.part" (dict "root" . "part" "etcd")) .Release.Namespace .Values.clusterDomain -}}
{{- else -}}
{{- join "," .Values.etcd.endpoints -}}
{{- end -}}
{{- end -}}
