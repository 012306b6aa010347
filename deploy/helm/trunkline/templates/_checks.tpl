{{/* What a schema cannot say well: values that need each other. Each message names the value and the remedy. */}}
{{- define "trunkline.checks" -}}
{{- $etcd := .Values.etcd -}}
{{- if and $etcd.trial.enabled $etcd.endpoints -}}
{{- fail "etcd.trial.enabled: etcd.endpoints names an etcd already; choose one of the two" -}}
{{- end -}}
{{- if not (or $etcd.trial.enabled $etcd.endpoints) -}}
{{- fail "etcd.endpoints: name the members of your etcd, such as [https://etcd-0:2379], or set etcd.trial.enabled to try Trunkline out" -}}
{{- end -}}
{{- range $part := list "router" "prober" -}}
{{- $given := include "trunkline.identity.given" (get $etcd.tls $part) -}}
{{- range $etcd.endpoints -}}
{{- if and (hasPrefix "https://" .) (not $given) -}}
{{- fail (printf "etcd.tls.%s: %s needs an identity; name a Secret with ca.crt, tls.crt and tls.key" $part .) -}}
{{- end -}}
{{- if and (hasPrefix "http://" .) $given -}}
{{- fail (printf "etcd.endpoints: %s is plain text, but etcd.tls.%s is set; write https://" . $part) -}}
{{- end -}}
{{- end -}}
{{- if and $etcd.trial.enabled $given -}}
{{- fail (printf "etcd.tls.%s: the trial etcd speaks plain text; leave it empty" $part) -}}
{{- end -}}
{{- if and (eq $.Values.evidence.access "mtls") (not (include "trunkline.identity.given" (get $.Values.evidence.tls $part))) -}}
{{- fail (printf "evidence.tls.%s: evidence.access is mtls; name a Secret with ca.crt, tls.crt and tls.key" $part) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.admin.access "mtls") (not (include "trunkline.identity.given" .Values.admin.tls)) -}}
{{- fail "admin.tls: admin.access is mtls; name a Secret with ca.crt (who signs operators), tls.crt and tls.key" -}}
{{- end -}}
{{- $collector := dig "tracing" "otlp" "endpoint" "" .Values.router.config -}}
{{- if and (include "trunkline.identity.given" .Values.tracing.tls) (not (hasPrefix "https://" $collector)) -}}
{{- fail "tracing.tls: it is shown to router.config.tracing.otlp.endpoint alone, which must begin with https://" -}}
{{- end -}}
{{- if and .Values.router.clientCa (not (include "trunkline.identity.given" .Values.router.tls)) -}}
{{- fail "router.clientCa: callers can show certificates only where router.tls is set" -}}
{{- end -}}
{{- if and .Values.bootstrap.keys .Values.bootstrap.keysSecret -}}
{{- fail "bootstrap.keysSecret: bootstrap.keys is set, too; choose one of the two" -}}
{{- end -}}
{{- if and .Values.authorities.configMapName .Values.authorities.secretName -}}
{{- fail "authorities.secretName: authorities.configMapName is set, too; choose one of the two" -}}
{{- end -}}
{{- $service := .Values.router.service -}}
{{- if and $service.externalTrafficPolicy (eq $service.type "ClusterIP") -}}
{{- fail "router.service.externalTrafficPolicy: a ClusterIP has none; set router.service.type to LoadBalancer or NodePort" -}}
{{- end -}}
{{- if and (or $service.loadBalancerClass $service.loadBalancerSourceRanges) (ne $service.type "LoadBalancer") -}}
{{- fail "router.service.type: loadBalancerClass and loadBalancerSourceRanges are for a LoadBalancer alone" -}}
{{- end -}}
{{- range $path, $labels := dict "commonLabels" .Values.commonLabels "router.podLabels" .Values.router.podLabels "prober.podLabels" .Values.prober.podLabels -}}
{{- range $label, $_ := $labels -}}
{{- if or (has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "helm.sh/chart")) (hasPrefix "trunkline/" $label) -}}
{{- fail (printf "%s: %s is a label of the chart's own, by which pods are found; choose another" $path $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (int .Values.router.autoscaling.minReplicas) (int .Values.router.autoscaling.maxReplicas) -}}
{{- fail "router.autoscaling.minReplicas: more than maxReplicas" -}}
{{- end -}}
{{- if and .Values.test.model (not .Values.test.keySecret.name) -}}
{{- fail "test.keySecret: test.model is set; name the Secret that holds an API key for the test's call" -}}
{{- end -}}
{{- $seen := dict -}}
{{- range .Values.zones -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "zones: %s is there twice" .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- end -}}
