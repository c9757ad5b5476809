{{- /* The chart's name, in the label app.kubernetes.io/name. */ -}}
{{- define "weighted-share.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of every object, or its beginning. A Service's name has 63 characters at most, so there is room for a suffix. */ -}}
{{- define "weighted-share.fullname" -}}
{{- $name := include "weighted-share.name" . -}}
{{- $release := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $release | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "weighted-share.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "weighted-share.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "weighted-share.fullname" .) "default") -}}
{{- end -}}

{{- /* The labels that select the pods. They never change. */ -}}
{{- define "weighted-share.selectorLabels" -}}
app.kubernetes.io/name: {{ include "weighted-share.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* As a map, so that each key is there once: the user's labels replace the chart's, but not those that select the pods. */ -}}
{{- define "weighted-share.labels" -}}
{{- $selector := include "weighted-share.selectorLabels" . | fromYaml -}}
{{- $chart := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $own := dict
  "app.kubernetes.io/component" "controller"
  "app.kubernetes.io/part-of" (include "weighted-share.name" .)
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" $chart -}}
{{- merge $selector (.Values.commonLabels | default dict) $own | toYaml -}}
{{- end -}}

{{- /* The labels and annotations of an object. `root` is the context of the chart; `labels` and `annotations` are the object's
       own, if it has any. */ -}}
{{- define "weighted-share.metadataWith" -}}
labels:
  {{- merge (dict) (.labels | default dict) (include "weighted-share.labels" .root | fromYaml) | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The labels and annotations of an object that has none of its own. */ -}}
{{- define "weighted-share.metadata" -}}
{{- include "weighted-share.metadataWith" (dict "root" .) -}}
{{- end -}}

{{- /* The image. The first part of a repository is its registry if it has a dot or a port, as container runtimes read it. */ -}}
{{- define "weighted-share.image" -}}
{{- $repository := .Values.image.repository -}}
{{- $registry := (.Values.global).imageRegistry | default .Values.image.registry -}}
{{- if $registry -}}
{{- $parts := splitList "/" $repository -}}
{{- if and (rest $parts) (or (regexMatch "[.:]" (first $parts)) (eq (first $parts) "localhost")) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" $registry) (join "/" $parts) -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- /* The Secrets to pull the image with, each once. In `global` they may be plain names. */ -}}
{{- define "weighted-share.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat ((.Values.global).imagePullSecrets | default list) (.Values.imagePullSecrets | default list) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $secrets -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- /* The fields that the pods of the Deployment and of `helm test` have in common. */ -}}
{{- define "weighted-share.podSpec" -}}
serviceAccountName: {{ include "weighted-share.serviceAccount" . }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with include "weighted-share.imagePullSecrets" . }}
imagePullSecrets:
  {{- . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Whether new pods start inside their pool, by policies of the API server: "true" or nothing. */ -}}
{{- define "weighted-share.hasAdmissionPolicy" -}}
{{- $enabled := toString .Values.admissionPolicy.enabled -}}
{{- $served := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
{{- if or (eq $enabled "true") (and (eq $enabled "auto") $served) -}}true{{- end -}}
{{- end -}}
