{{/* What the templates share. A part is named by its command: proxy, scaler, webhook. */}}

{{/* @param the component's name */}}
{{- define "slimfaas.labels" -}}
{ app.kubernetes.io/name: slimfaas, app.kubernetes.io/component: {{ . }} }
{{- end }}

{{/* repository:tag, and @digest where there is one, which then is what counts: the tag says it to people. */}}
{{- define "slimfaas.image" -}}
{{- $image := .Values.image -}}
{{- if contains "@" $image.repository }}
{{- fail (printf "image.repository: %s has a digest; put it into image.digest" $image.repository) }}
{{- end -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "slimfaas.natsImage" -}}
{{- if and .Values.nats.digest (contains "@" .Values.nats.image) }}
{{- fail (printf "nats.image: %s has a digest already; leave nats.digest empty" .Values.nats.image) }}
{{- end -}}
{{ .Values.nats.image }}{{ with .Values.nats.digest }}@{{ . }}{{ end }}
{{- end }}

{{/*
One server and three keep their streams in volumes of other names: streams of a server that was alone mean nothing to a
cluster, which would remove them.
*/}}
{{- define "slimfaas.natsSet" -}}
{{- if eq (int .Values.nats.replicas) 3 }}slimfaas-nats-cluster{{ else }}slimfaas-nats{{ end -}}
{{- end }}

{{- define "slimfaas.nats" -}}
{{- .Values.nats.url | default (printf "nats://slimfaas-nats.%s.svc:4222" .Release.Namespace) -}}
{{- end }}

{{/*
The bundled server's address beside its name: the first connection waits for no lookup, and a pod that cannot resolve
names (dnsPolicy Default or None) needs none. The name finds a Service that was made again. @param a list: root, flag
*/}}
{{- define "slimfaas.natsAddress" -}}
{{- if not (index . 0).Values.nats.url }}
- --{{ index . 1 }}=$(SLIMFAAS_NATS_SERVICE_HOST)
{{- end }}
{{- end }}

{{/* The values by which pods show to a NATS of your own who they are; empty: they do not. */}}
{{- define "slimfaas.natsWay" -}}
{{- $nats := .Values.nats }}
{{- $ways := list }}
{{- if $nats.signingKey.secretName }}{{ $ways = append $ways "nats.signingKey" }}{{ end }}
{{- if $nats.credentials.secretName }}{{ $ways = append $ways "nats.credentials" }}{{ end }}
{{- if gt (len $ways) 1 }}
{{- fail "nats.signingKey and nats.credentials are two ways to the same NATS; give one" }}
{{- end }}
{{- range concat $ways (ternary (list "nats.ca") list (ne $nats.ca.secretName "")) }}
{{- if not $nats.url }}
{{- fail (printf "%s is for a NATS of your own; set nats.url" .) }}
{{- end }}
{{- end }}
{{- if and $nats.ca.secretName (not $ways) }}
{{- fail "nats.ca goes with nats.signingKey or nats.credentials: pods are given all of it together" }}
{{- end }}
{{- range $ways }}
{{- if not (hasPrefix "tls://" $nats.url) }}
{{- fail (printf "%s needs TLS, so that nobody reads what pods show; nats.url must begin with tls://, not %s" . $nats.url) }}
{{- end }}
{{- if eq $.Values.auth "off" }}
{{- fail (printf "%s says who pods are, and auth: off that nobody asks; set auth: required" .) }}
{{- end }}
{{- end }}
{{- join "" $ways }}
{{- end }}

{{/*
What a container has whose resources are fixed. Where a namespace asks for more limits, the values of its neighbour say some,
so it gets its own: a small one of CPU, which a quota counts too. A list: the neighbour's resources, requests, limits, CPU.
*/}}
{{- define "slimfaas.fixedResources" -}}
{{- $neighbour := index . 0 -}}
{{- $requests := index . 1 -}}
{{- $limits := index . 2 -}}
{{- if get ($neighbour.limits | default dict) "cpu" }}{{ $_ := set $limits "cpu" (index . 3) }}{{ end -}}
{{- with get ($neighbour.requests | default dict) "ephemeral-storage" }}{{ $_ := set $requests "ephemeral-storage" . }}{{ end -}}
{{- with get ($neighbour.limits | default dict) "ephemeral-storage" }}{{ $_ := set $limits "ephemeral-storage" . }}{{ end -}}
{{ toYaml (dict "requests" $requests "limits" $limits) }}
{{- end }}

{{/* Who is asked on the bus. Nobody on NATS servers of your own, unless you say how they know us. */}}
{{- define "slimfaas.auth" -}}
{{- $way := include "slimfaas.natsWay" . }}
{{- if and .Values.nats.url (not $way) }}off{{ else }}{{ .Values.auth }}{{ end -}}
{{- end }}

{{/* What sidecars ask of those who call them. As `auth` in the values says, also with a NATS of your own. */}}
{{- define "slimfaas.proxyProof" -}}
{{- if .Values.proxyProof }}{{ .Values.proxyProof }}
{{- else if eq .Values.auth "off" }}off
{{- else if .Values.oldSidecars }}permissive
{{- else }}{{ .Values.auth }}{{ end -}}
{{- end }}

{{- define "slimfaas.issuer" -}}
https://slimfaas-issuer.{{ .Release.Namespace }}.svc:8444
{{- end }}

{{/* What a part shows to the issuer, and what it knows the issuer by: arguments, mount and volume of its pod. */}}
{{- define "slimfaas.identityArgs" -}}
{{- if ne (include "slimfaas.auth" .) "off" }}
- --auth={{ include "slimfaas.auth" . }}
- --issuer={{ include "slimfaas.issuer" . }}
- --issuer-address=$(SLIMFAAS_ISSUER_SERVICE_HOST)
- --issuer-ca-file=/var/run/secrets/slimfaas.dev/identity/ca.crt
- --token-file=/var/run/secrets/slimfaas.dev/identity/token
{{- end }}
{{- end }}

{{- define "slimfaas.identityMount" -}}
- { name: identity, mountPath: /var/run/secrets/slimfaas.dev/identity, readOnly: true }
{{- end }}

{{/* The kubelet waits for the ConfigMap, which the webhook makes once. */}}
{{- define "slimfaas.identityVolume" -}}
- name: identity
  projected:
    sources:
      - serviceAccountToken: { audience: slimfaas-bus, expirationSeconds: 3600, path: token }
      - configMap: { name: slimfaas-ca }
{{- end }}

{{/*
The first word of names that the whole cluster shares. There is one installation a namespace, so the namespace tells
two installations apart; release names do not, as Helm allows the same one in two namespaces.
*/}}
{{- define "slimfaas.clusterName" -}}
{{- if eq .Release.Namespace "slimfaas" }}slimfaas{{ else }}slimfaas-{{ .Release.Namespace }}{{ end -}}
{{- end }}

{{- define "slimfaas.hasFixedUser" -}}
{{- if ne (toString .Values.user) "none" }}true{{ end -}}
{{- end }}

{{/* A pod's placement and rights; the user id as a list: root, id. */}}
{{- define "slimfaas.podSecurity" -}}
{{- $root := index . 0 }}
{{- $user := index . 1 -}}
securityContext:
  runAsNonRoot: true
  {{- if include "slimfaas.hasFixedUser" $root }}
  runAsUser: {{ int64 $user }}
  runAsGroup: {{ int64 $user }}
  {{- end }}
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "slimfaas.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: { drop: [ALL] }
  readOnlyRootFilesystem: true
{{- end }}

{{/* @param the values of a part */}}
{{- define "slimfaas.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "slimfaas.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | squote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* @param the component's name */}}
{{- define "slimfaas.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "slimfaas.labels" . }}
{{- end }}

{{/* @param a list: root, port */}}
{{- define "slimfaas.scrape" -}}
{{- if (index . 0).Values.metrics.annotations }}
annotations: { prometheus.io/scrape: 'true', prometheus.io/port: '{{ index . 1 }}' }
{{- end }}
{{- end }}

{{/* Flags as their variables; toJson, because a template prints a large number as 2.68435456e+08. */}}
{{- define "slimfaas.flags" -}}
{{- range $flag, $value := . }}
- name: SLIMFAAS_{{ $flag | upper | replace "-" "_" }}
  value: {{ if kindIs "slice" $value }}{{ join "," $value | quote }}{{ else if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ toJson $value | quote }}{{ end }}
{{- end }}
{{- end }}

{{- define "slimfaas.liveness" -}}
livenessProbe:
  httpGet: { path: /health, port: {{ . }} }
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
{{- end }}

{{/* Where a part may do what its ClusterRole says: everywhere, or in the namespaces that are named. A list: root, part. */}}
{{- define "slimfaas.bindings" -}}
{{- $root := index . 0 }}
{{- $account := printf "slimfaas-%s" (index . 1) }}
{{- $name := printf "%s-%s" (include "slimfaas.clusterName" $root) (index . 1) }}
{{- range $namespace := $root.Values.namespaces | default (list "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if $namespace }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}
metadata:
  {{- /* In its own namespace the scaler has a Role, and a binding to it, of the same name. */}}
  name: {{ $name }}{{ if $namespace }}-functions{{ end }}
  {{- if $namespace }}
  namespace: {{ $namespace | squote }}
  {{- end }}
  labels: {{ include "slimfaas.labels" (index $ 1) }}
roleRef: { apiGroup: rbac.authorization.k8s.io, {{ if eq $root.Values.clusterParts "without" }}kind: Role, name: {{ $name }}-functions{{ else }}kind: ClusterRole, name: {{ $name }}{{ end }} }
subjects:
  - { kind: ServiceAccount, name: {{ $account }}, namespace: {{ $root.Release.Namespace | squote }} }
{{- end }}
{{- end }}

{{/* @param a list: root, part */}}
{{- define "slimfaas.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: slimfaas-{{ index . 1 }}
  namespace: {{ (index . 0).Release.Namespace | squote }}
  labels: {{ include "slimfaas.labels" (index . 1) }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{ include "slimfaas.labels" (index . 1) }}
{{- end }}

{{/* What proxy and scaler are told of operator routes, and by which token they know each other. */}}
{{- define "slimfaas.accessArgs" -}}
{{- $secret := .Values.operatorToken.secretName }}
{{- if and (eq .Values.operatorAuth "token") (not $secret) }}
{{- fail "operatorAuth: token needs operatorToken.secretName, a Secret with the key token" }}
{{- end }}
{{- if and $secret (ne .Values.operatorAuth "token") }}
{{- fail (printf "operatorToken.secretName goes with operatorAuth: token, which is %s" .Values.operatorAuth) }}
{{- end }}
{{- if ne .Values.operatorAuth "kubernetes" }}
- --operator-auth={{ .Values.operatorAuth }}
{{- end }}
{{- if eq .Values.operatorAuth "token" }}
- --operator-token-file=/access/token
{{- end }}
{{- if ne .Values.operatorAuth "off" }}
- --peer-token-file=/access/token
{{- end }}
{{- if .Values.metrics.open }}
- --open-metrics
{{- end }}
{{- end }}

{{- define "slimfaas.accessMount" -}}
{{- if ne .Values.operatorAuth "off" }}
- { name: access, mountPath: /access, readOnly: true }
{{- end }}
{{- end }}

{{- define "slimfaas.accessVolume" -}}
{{- if eq .Values.operatorAuth "token" }}
- name: access
  secret: { secretName: {{ .Values.operatorToken.secretName | squote }} }
{{- else if eq .Values.operatorAuth "kubernetes" }}
- name: access
  projected:
    sources:
      - serviceAccountToken: { audience: slimfaas, path: token, expirationSeconds: 3600 }
{{- end }}
{{- end }}

{{/*
What a part may do with functions, and where: a ClusterRole with its bindings, or a Role in each namespace for those who may
make no ClusterRole. A list: root, part; its rules are the template slimfaas.rules.<part>.
*/}}
{{- define "slimfaas.role" -}}
{{- $root := index . 0 }}
{{- $part := index . 1 }}
{{- $name := printf "%s-%s" (include "slimfaas.clusterName" $root) $part }}
{{- $isNamespaced := eq $root.Values.clusterParts "without" }}
{{- range $index, $namespace := ternary $root.Values.namespaces (list "") $isNamespaced }}
{{- if $index }}
---
{{- end }}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if $isNamespaced }}Role{{ else }}ClusterRole{{ end }}
metadata:
  name: {{ $name }}{{ if $isNamespaced }}-functions{{ end }}
  {{- if $isNamespaced }}
  namespace: {{ $namespace | squote }}
  {{- end }}
  labels: {{ include "slimfaas.labels" $part }}
rules:
  {{- include (printf "slimfaas.rules.%s" $part) $root | nindent 2 }}
{{- end }}
{{- include "slimfaas.bindings" (list $root $part) }}
{{- end }}

{{- define "slimfaas.hasRelease" -}}
{{- if ne .Values.clusterParts "only" }}true{{ end -}}
{{- end }}

{{- define "slimfaas.hasClusterParts" -}}
{{- if and (eq .Values.clusterParts "without") (not .Values.namespaces) }}
{{- fail "clusterParts: without gives rights by Roles in the namespaces of functions, so namespaces must name them" }}
{{- end }}
{{- if ne .Values.clusterParts "without" }}true{{ end -}}
{{- end }}

{{/*
The paths of one host that the Ingress publishes, as JSON. A host that functions may claim is theirs whole: what the proxy
answers there is still public.routes alone. A list: root, host.
*/}}
{{- define "slimfaas.publicPaths" -}}
{{- $root := index . 0 }}
{{- $host := index . 1 }}
{{- $paths := $root.Values.proxy.ingress.paths }}
{{- if not $paths }}
{{- range $root.Values.proxy.public.routes }}
{{- if eq . "jobs" }}
{{- $paths = concat $paths (list "/async-function-job" "/async-function-callback") }}
{{- else if eq . "status" }}
{{- $paths = concat $paths (list "/status-functions" "/status-functions-stream" "/status-function" "/status-page") }}
{{- else if eq . "wake" }}
{{- $paths = append $paths "/wake-function" }}
{{- else }}
{{- $paths = append $paths (printf "/%s" .) }}
{{- end }}
{{- end }}
{{- range $root.Values.functionHosts }}
{{- $pattern := regexReplaceAll "^[^=]*=" . "" }}
{{- if or (eq $pattern "*") (eq $pattern $host) (and (hasPrefix "*." $pattern) (hasSuffix (trimPrefix "*" $pattern) $host)) }}
{{- $paths = list "/" }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $paths }}
{{- end }}
