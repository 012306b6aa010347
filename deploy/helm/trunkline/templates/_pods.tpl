{{/* What every pod has in common. */}}

{{/* A user without rights: 65532 is "nonroot" in the images. */}}
{{- define "trunkline.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "trunkline.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The head of a pod's spec. Takes root, values of the part. Links to Services would become TRUNKLINE_… variables,
     which are the programs' own. */}}
{{- define "trunkline.podHead" -}}
serviceAccountName: {{ include "trunkline.fullname" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "trunkline.podSecurity" .root | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Where a zone's pods may stand: its nodes if it names them, and apart from each other if possible. Takes root,
     part, zone. */}}
{{- define "trunkline.placement" -}}
{{- with .zone.nodeZone }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            - key: topology.kubernetes.io/zone
              operator: In
              values: [{{ . | quote }}]
{{- end }}
topologySpreadConstraints:
  {{- $keys := list "kubernetes.io/hostname" }}
  {{- if not .zone.nodeZone }}
  {{- $keys = prepend $keys "topology.kubernetes.io/zone" }}
  {{- end }}
  {{- range $keys }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "trunkline.selector" $ | nindent 8 }}
        trunkline/zone: {{ $.zone.name }}
  {{- end }}
{{- end -}}

{{/* Whether an identity is given. */}}
{{- define "trunkline.identity.given" -}}
{{- if or .secretName .csi -}}yes{{- end -}}
{{- end -}}

{{/* The path of one of an identity's files. Takes name, identity, file (ca, cert, key). */}}
{{- define "trunkline.identity.path" -}}
{{- $usual := dict "ca" "ca.crt" "cert" "tls.crt" "key" "tls.key" -}}
{{- $named := default (dict) .identity.files -}}
{{- printf "/etc/trunkline/tls/%s/%s" .name (default (get $usual .file) (get $named .file)) -}}
{{- end -}}

{{/* Volumes of identities that are given. Takes identities (name → identity) and zone. */}}
{{- define "trunkline.identity.volumes" -}}
{{- range $name, $identity := .identities }}
{{- if include "trunkline.identity.given" $identity }}
- name: tls-{{ $name }}
  {{- if $identity.csi }}
  csi:
    driver: {{ $identity.csi.driver }}
    readOnly: true
    {{- with $identity.csi.volumeAttributes }}
    volumeAttributes:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- else }}
  secret:
    secretName: {{ $identity.secretName | replace "{zone}" $.zone.name }}
    defaultMode: 0440
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "trunkline.identity.mounts" -}}
{{- range $name, $identity := .identities }}
{{- if include "trunkline.identity.given" $identity }}
- name: tls-{{ $name }}
  mountPath: /etc/trunkline/tls/{{ $name }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{/* Authorities of providers' certificates in place of the image's own, which routers and probers both need. */}}
{{- define "trunkline.authorities.env" -}}
{{- if or .Values.authorities.configMapName .Values.authorities.secretName -}}
- name: SSL_CERT_FILE
  value: /etc/trunkline/authorities/{{ .Values.authorities.key }}
{{- end -}}
{{- end -}}

{{- define "trunkline.authorities.mount" -}}
{{- if or .Values.authorities.configMapName .Values.authorities.secretName -}}
- name: authorities
  mountPath: /etc/trunkline/authorities
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "trunkline.authorities.volume" -}}
{{- with .Values.authorities.configMapName -}}
- name: authorities
  configMap:
    name: {{ . }}
{{- end -}}
{{- with .Values.authorities.secretName -}}
- name: authorities
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end -}}
{{- end -}}

{{/* Secrets of providers, which routers and probers both need. */}}
{{- define "trunkline.providerKeys.volumes" -}}
{{- range .Values.providerKeys.files }}
- name: provider-keys-{{ . }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "trunkline.providerKeys.mounts" -}}
{{- range .Values.providerKeys.files }}
- name: provider-keys-{{ . }}
  mountPath: /etc/trunkline/provider-keys/{{ . }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "trunkline.providerKeys.env" -}}
{{- with .Values.providerKeys.env }}
envFrom:
  {{- range . }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Probes of the operations port. */}}
{{- define "trunkline.probes" -}}
livenessProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}
