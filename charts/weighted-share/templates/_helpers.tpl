{{- /* The name of every object: the release's, with the chart's where the release does not say it. */ -}}
{{- define "weighted-share.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* What the pods are found by. It never changes. */ -}}
{{- define "weighted-share.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "weighted-share.labels" -}}
{{ include "weighted-share.selectorLabels" . }}
app.kubernetes.io/component: controller
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The labels and annotations of an object that has none of its own. */ -}}
{{- define "weighted-share.metadata" -}}
labels:
  {{- include "weighted-share.labels" . | nindent 2 }}
{{- with .Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Likewise, with labels of its own: what others find it by. */ -}}
{{- define "weighted-share.labelled" -}}
labels:
  {{- merge (dict) (.labels | default dict) (include "weighted-share.labels" .root | fromYaml) | toYaml | nindent 2 }}
{{- with .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "weighted-share.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}

{{- /* Whether new pods start inside their pool, by policies of the API server: "true" or nothing. */ -}}
{{- define "weighted-share.hasAdmissionPolicy" -}}
{{- $enabled := toString .Values.admissionPolicy.enabled -}}
{{- $served := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
{{- if or (eq $enabled "true") (and (eq $enabled "auto") $served) -}}true{{- end -}}
{{- end -}}
