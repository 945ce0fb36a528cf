{{- define "likeness.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* 40 characters, because KubeRay puts its own endings behind the name of the Ray cluster. */}}
{{- define "likeness.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "likeness.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "likeness.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "likeness.ray" -}}
{{- printf "%s-ray" (include "likeness.fullname" .) -}}
{{- end }}

{{- define "likeness.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "likeness.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "likeness.rayServiceAccount" -}}
{{- if .Values.ray.serviceAccount.create -}}
{{- default (printf "%s-ray" (include "likeness.fullname" .)) .Values.ray.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.ray.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "likeness.claim" -}}
{{- $claim := index .root.Values .name -}}
{{- default (printf "%s-%s" (include "likeness.fullname" .root) .name) $claim.existingClaim -}}
{{- end }}

{{- define "likeness.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{/* What selects pods; the component is added where it is used. These never change between versions. */}}
{{- define "likeness.selector" -}}
app.kubernetes.io/name: {{ include "likeness.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "likeness.labels" -}}
{{ include "likeness.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "likeness.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* One variable out of a Secret: dict "name" "existingSecret" "key". */}}
{{- define "likeness.secretEnv" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .key | quote }}}}
{{- end }}

{{/* What opens the bucket; Ray's workers get addresses of single objects instead, in the lease of each order. */}}
{{- define "likeness.bucketEnv" -}}
{{- with .Values.objects }}
{{- if .region }}
- {name: AWS_REGION, value: {{ .region | quote }}}
{{- end }}
{{- if .endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ .endpoint | quote }}}
{{- end }}
{{- if .existingSecret }}
{{ include "likeness.secretEnv" (dict "name" "AWS_ACCESS_KEY_ID" "existingSecret" .existingSecret "key" .accessKeyIdKey) }}
{{ include "likeness.secretEnv" (dict "name" "AWS_SECRET_ACCESS_KEY" "existingSecret" .existingSecret "key" .secretAccessKeyKey) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "likeness.rayTokenEnv" -}}
- {name: RAY_AUTH_MODE, value: token}
{{ include "likeness.secretEnv" (dict "name" "RAY_AUTH_TOKEN" "existingSecret" (required "ray.auth.existingSecret names the Secret with the token of the Ray cluster" .Values.ray.auth.existingSecret) "key" "auth_token") }}
{{- end }}

{{/* The program's own role; the one below only reads. The migrations, which make both, give them the passwords of their addresses. */}}
{{- define "likeness.databaseEnv" -}}
{{- with .Values.database -}}
{{ include "likeness.secretEnv" (dict "name" "LIKENESS_DATABASE_URL" "existingSecret" (required "database.existingSecret names the Secret with the database address of the program's own role" .existingSecret) "key" .key) }}
{{- end }}
{{- end }}

{{- define "likeness.rescanEnv" -}}
{{- with .Values.database.rescan -}}
{{ include "likeness.secretEnv" (dict "name" "LIKENESS_RESCAN_DATABASE_URL" "existingSecret" (required "database.rescan.existingSecret names the Secret with the database address of the role that only reads and verifies erasures" .existingSecret) "key" .key) }}
{{- end }}
{{- end }}

{{- define "likeness.env" -}}
{{- $v := .Values -}}
{{ include "likeness.databaseEnv" . }}
{{ include "likeness.secretEnv" (dict "name" "LIKENESS_BROKER_URL" "existingSecret" (required "broker.existingSecret names the Secret with the address of RabbitMQ" $v.broker.existingSecret) "key" $v.broker.key) }}
{{- if $v.mail.existingSecret }}
{{ include "likeness.secretEnv" (dict "name" "LIKENESS_SMTP_URL" "existingSecret" $v.mail.existingSecret "key" $v.mail.key) }}
{{- end }}
{{- if $v.mail.bounces.existingSecret }}
{{ include "likeness.secretEnv" (dict "name" "LIKENESS_BOUNCES_IMAP" "existingSecret" $v.mail.bounces.existingSecret "key" $v.mail.bounces.key) }}
{{- end }}
{{- include "likeness.bucketEnv" . }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Worker, privacy and scheduler verify erasures and talk to the Ray cluster; the web pods, which everybody reaches, can do neither. */}}
{{- define "likeness.backstageEnv" -}}
{{ include "likeness.rescanEnv" . }}
- {name: LIKENESS_LIVENESS_FILE, value: /tmp/alive}
{{ include "likeness.rayTokenEnv" . }}
{{- end }}

{{/* They listen nowhere, so they renew a file while all of their threads get on; what they wait for may be away. A start may take
minutes, after a restore. */}}
{{- define "likeness.backstageProbes" -}}
{{- $renewed := list "sh" "-c" "test -n \"$(find \"$LIKENESS_LIVENESS_FILE\" -newermt '-2 minutes')\"" -}}
startupProbe:
  exec: {command: {{ toJson $renewed }}}
  periodSeconds: 5
  timeoutSeconds: 10
  failureThreshold: 360
livenessProbe:
  exec: {command: {{ toJson $renewed }}}
  periodSeconds: 30
  timeoutSeconds: 10
  failureThreshold: 3
{{- end }}

{{- define "likeness.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: keys, mountPath: /var/lib/likeness/keys}
- {name: tombstones, mountPath: /var/lib/likeness/tombstones}
{{- if eq .Values.keys.store "vault" }}
- {name: vault, mountPath: /var/run/likeness/vault, readOnly: true}
{{- end }}
{{- end }}

{{- define "likeness.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 2Gi}}
- {name: keys, persistentVolumeClaim: {claimName: {{ include "likeness.claim" (dict "root" . "name" "keys") }}}}
- {name: tombstones, persistentVolumeClaim: {claimName: {{ include "likeness.claim" (dict "root" . "name" "tombstones") }}}}
{{- if eq .Values.keys.store "vault" }}
- {name: vault, secret: {secretName: {{ required "keys.vault.existingSecret names the Secret with Vault's token" .Values.keys.vault.existingSecret | quote }}, defaultMode: 0440}}
{{- end }}
{{- end }}

{{/* Everything in a pod that is the same for web, worker and scheduler: dict "root" "component". */}}
{{- define "likeness.podStart" -}}
{{- $part := index .root.Values .component -}}
serviceAccountName: {{ include "likeness.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "likeness.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
volumes:
  {{- include "likeness.volumes" .root | nindent 2 }}
  {{- if eq .component "privacy" }}
  - {name: signer, persistentVolumeClaim: {claimName: {{ include "likeness.claim" (dict "root" .root "name" "signer") }}}}
  {{- end }}
  {{- if and (eq .component "web") .root.Values.marks.existingSecret }}
  - {name: marks, secret: {secretName: {{ .root.Values.marks.existingSecret | quote }}, defaultMode: 0440}}
  {{- end }}
{{- end }}

{{- define "likeness.host" -}}
{{- (urlParse (required "publicUrl is the address that people see in links" .Values.publicUrl)).hostname -}}
{{- end }}

{{/* Where Ray's pods run and what pulls their image: dict "root" "part". */}}
{{- define "likeness.rayPlacement" -}}
{{- if .root.Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range .root.Values.image.pullSecrets }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Who reaches whom is told by components: dict "root" "components". */}}
{{- define "likeness.peers" -}}
- podSelector:
    matchLabels:
      {{- include "likeness.selector" .root | nindent 6 }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [{{ join ", " .components }}]}
{{- end }}

{{- define "likeness.dns" -}}
- to: {{- toYaml .Values.networkPolicy.dns.to | nindent 4 }}
  ports:
    - {protocol: UDP, port: {{ .Values.networkPolicy.dns.port }}}
    - {protocol: TCP, port: {{ .Values.networkPolicy.dns.port }}}
{{- end }}
