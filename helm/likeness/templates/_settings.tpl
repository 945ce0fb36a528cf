{{/* The settings that all of the program's pods share; those of `settings` win over them. */}}
{{- define "likeness.settings" -}}
LIKENESS_PROFILE: production
# The root file system is read-only; what is written outside the volumes is temporary.
HOME: /tmp
LIKENESS_HOME: /tmp/likeness
LIKENESS_HOST: 0.0.0.0
LIKENESS_PORT: "8000"
LIKENESS_PUBLIC_URL: {{ required "publicUrl is the address that people see in links" .Values.publicUrl | quote }}
LIKENESS_MAIL_FROM: {{ .Values.mail.from | quote }}
LIKENESS_SMTP_TIMEOUT: {{ .Values.mail.timeoutSeconds | quote }}
{{- if .Values.mail.bounces.address }}
LIKENESS_BOUNCES_ADDRESS: {{ .Values.mail.bounces.address | quote }}
{{- end }}
LIKENESS_OBJECTS_URL: {{ required "objects.url is the bucket for encrypted objects, s3://bucket/prefix" .Values.objects.url | quote }}
LIKENESS_OBJECTS_TIMEOUT: {{ .Values.objects.timeoutSeconds | quote }}
{{- if .Values.objects.plainHttp }}
LIKENESS_OBJECTS_PLAIN_HTTP: "true"
{{- end }}
# A folder inside each volume, because a volume's own top folder is open to its group and these must not be.
LIKENESS_KEY_FOLDER: /var/lib/likeness/keys/wrapped
LIKENESS_TOMBSTONE_FOLDER: /var/lib/likeness/tombstones/kept
LIKENESS_KEY_STORE: {{ .Values.keys.store | quote }}
{{- if eq .Values.keys.store "vault" }}
LIKENESS_VAULT_URL: {{ required "keys.vault.url is the address of Vault, https://…" .Values.keys.vault.url | quote }}
LIKENESS_VAULT_MOUNT: {{ .Values.keys.vault.mount | quote }}
LIKENESS_VAULT_TOKEN_FILE: /var/run/likeness/vault/{{ .Values.keys.vault.key }}
{{- end }}
{{- if eq .Values.keys.store "aws-kms" }}
LIKENESS_KMS_KEY: {{ required "keys.awsKms.key is the id, ARN or alias of the key of AWS KMS" .Values.keys.awsKms.key | quote }}
{{- end }}
{{- with .Values.counterUrl }}
LIKENESS_COUNTER_URL: {{ . | quote }}
{{- end }}
{{- if .Values.ray.enabled }}
LIKENESS_RAY_ADDRESS: ray://{{ include "likeness.ray" . }}-head-svc:10001
# As many studios as there may be GPUs: asking for one is what makes the cluster grow.
{{- $gpus := 0 }}
{{- $darkrooms := 0 }}
{{- range .Values.ray.workerGroups }}
{{- $gpus = add $gpus (mul .gpus .maxReplicas) }}
{{- if not .gpus }}{{ $darkrooms = add $darkrooms .maxReplicas }}{{ end }}
{{- end }}
LIKENESS_STUDIOS: {{ max 1 $gpus | quote }}
LIKENESS_DARKROOMS: {{ max 1 $darkrooms | quote }}
{{- else }}
LIKENESS_RAY_ADDRESS: {{ required "ray.address names the Ray cluster while ray.enabled is false" .Values.ray.address | quote }}
{{- end }}
LIKENESS_GPU_SHARE: {{ .Values.ray.gpuShare | quote }}
LIKENESS_RECIPE: {{ .Values.recipe | quote }}
{{- with .Values.ray.models.digests }}
LIKENESS_WEIGHTS: {{ join "," . | quote }}
{{- end }}
LIKENESS_ACCEPTED_LICENCES: {{ join "," .Values.acceptedLicences | quote }}
# Erasures have a worker of their own, beside the key that signs their certificates.
LIKENESS_PRIVACY_THREADS: "0"
LIKENESS_PHOTO_THREADS: {{ .Values.worker.lanes.photos.threads | quote }}
LIKENESS_MAIL_THREADS: {{ .Values.worker.lanes.mail.threads | quote }}
LIKENESS_WEBHOOK_THREADS: {{ .Values.worker.lanes.webhooks.threads | quote }}
LIKENESS_GENERAL_THREADS: {{ .Values.worker.lanes.general.threads | quote }}
LIKENESS_LOG_LEVEL: {{ .Values.logLevel | quote }}
{{- if ne (toString .Values.backupDays) "" }}
LIKENESS_BACKUP_DAYS: {{ .Values.backupDays | int | quote }}
{{- end }}
{{- with .Values.operator }}
LIKENESS_OPERATOR: {{ . | quote }}
{{- end }}
{{- with .Values.securityContact }}
LIKENESS_SECURITY_CONTACT: {{ . | quote }}
{{- end }}
{{- with .Values.webhookNetworks }}
LIKENESS_WEBHOOK_NETWORKS: {{ join "," . | quote }}
{{- end }}
{{- with .Values.web.trustedProxies }}
LIKENESS_TRUSTED_PROXIES: {{ . | quote }}
{{- end }}
{{- end }}
