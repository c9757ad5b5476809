{{- /* How a ServiceMonitor or a PodMonitor scrapes: `root` is the context of the chart, `monitor` the monitor's values. */ -}}
{{- define "weighted-share.endpoint" -}}
port: metrics
scheme: https
interval: {{ .monitor.interval }}
{{- with .monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
# The series of members have a label `namespace` of their own.
honorLabels: true
# The pod signs its certificate itself; the token protects the metrics.
tlsConfig:
  insecureSkipVerify: true
{{- with .monitor.tokenSecret }}
authorization:
  credentials:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- with .monitor.relabelings }}
relabelings:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}
{{- /* The metadata of an object of the Prometheus operator or of Grafana, which may be in a namespace of its own. */ -}}
{{- define "weighted-share.monitoringMetadata" -}}
name: {{ include "weighted-share.fullname" .root }}{{ .suffix }}
namespace: {{ .values.namespace | default (include "weighted-share.namespace" .root) }}
{{ include "weighted-share.metadataWith" (dict "root" .root "labels" .values.labels "annotations" .values.annotations) }}
{{- end -}}
