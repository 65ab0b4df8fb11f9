"""What runs: the Deployment, its Service and its budget (spec/podpreset.md 11.6)."""

from lightkube.models import apps_v1, core_v1, meta_v1, policy_v1

from podward.webhook.manifest_options import ManifestOptions

PORT = 8443
_USER = 65532
"""Nobody in particular; a cluster that lets no root run wants a number, not a name."""
_CERTIFICATE_FOLDER = "/etc/podward-webhook/tls"
_GRACE_SECONDS = 60
"""More than the webhook takes to end: it is not ready for 10 s, still serving, and then drains."""
_STARTUP_SECONDS = 600
"""A replica cannot answer before it has a certificate. The first one waits for the leader: seconds, unless the
Secret was lost and API servers must learn of a new authority first (`rotation.Rules.propagation`)."""


def deployment(options: ManifestOptions) -> apps_v1.Deployment:
    selector = meta_v1.LabelSelector(matchLabels=options.labels)
    spread = core_v1.PodAffinityTerm(labelSelector=selector, topologyKey="kubernetes.io/hostname")
    spec = core_v1.PodSpec(
        affinity=core_v1.Affinity(
            podAntiAffinity=core_v1.PodAntiAffinity(
                preferredDuringSchedulingIgnoredDuringExecution=[
                    core_v1.WeightedPodAffinityTerm(podAffinityTerm=spread, weight=100)
                ]
            )
        ),
        containers=[_container(options)],
        priorityClassName="system-cluster-critical",
        securityContext=core_v1.PodSecurityContext(
            runAsNonRoot=True,
            runAsUser=_USER,
            runAsGroup=_USER,
            fsGroup=_USER,
            seccompProfile=core_v1.SeccompProfile(type="RuntimeDefault"),
        ),
        serviceAccountName=options.installation.name,
        terminationGracePeriodSeconds=_GRACE_SECONDS,
        volumes=_volumes(options),
    )
    return apps_v1.Deployment(
        metadata=options.meta(),
        spec=apps_v1.DeploymentSpec(
            replicas=options.replicas,
            selector=selector,
            strategy=apps_v1.DeploymentStrategy(
                type="RollingUpdate",
                rollingUpdate=apps_v1.RollingUpdateDeployment(maxSurge=1, maxUnavailable=0),
            ),
            template=core_v1.PodTemplateSpec(
                metadata=meta_v1.ObjectMeta(labels=options.labels), spec=spec
            ),
        ),
    )


def service(options: ManifestOptions) -> core_v1.Service:
    return core_v1.Service(
        metadata=options.meta(),
        spec=core_v1.ServiceSpec(
            ports=[core_v1.ServicePort(name="https", port=443, targetPort="https")],
            selector=options.labels,
        ),
    )


def budget(options: ManifestOptions) -> policy_v1.PodDisruptionBudget:
    return policy_v1.PodDisruptionBudget(
        metadata=options.meta(),
        spec=policy_v1.PodDisruptionBudgetSpec(
            maxUnavailable=1, selector=meta_v1.LabelSelector(matchLabels=options.labels)
        ),
    )


def arguments(options: ManifestOptions) -> list[str]:
    """Of `podward`, as the Deployment runs it."""
    args = ["webhook", "--listen", f"0.0.0.0:{PORT}", "--mode", options.mode]
    if options.self_managed:
        args += ["--self-managed"]
    else:
        args += ["--cert-file", f"{_CERTIFICATE_FOLDER}/tls.crt"]
        args += ["--key-file", f"{_CERTIFICATE_FOLDER}/tls.key"]
    args += ["--service", options.installation.name]
    args += ["--namespace", options.installation.namespace]
    if options.count_pods:
        args.append("--count-pods")
    return args


def _container(options: ManifestOptions) -> core_v1.Container:
    mounts = None
    if not options.self_managed:
        # The folder and not the files: mounted files (subPath) never see a renewal.
        mounts = [core_v1.VolumeMount(name="tls", mountPath=_CERTIFICATE_FOLDER, readOnly=True)]
    return core_v1.Container(
        name="webhook",
        image=options.image,
        command=["podward"],
        args=arguments(options),
        ports=[core_v1.ContainerPort(name="https", containerPort=PORT)],
        startupProbe=_probe("/livez", period=5, failures=_STARTUP_SECONDS // 5),
        livenessProbe=_probe("/livez", period=10, failures=3),
        readinessProbe=_probe("/readyz", period=5, failures=1),
        resources=core_v1.ResourceRequirements(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "512Mi"}
        ),
        securityContext=core_v1.SecurityContext(
            allowPrivilegeEscalation=False,
            capabilities=core_v1.Capabilities(drop=["ALL"]),
            readOnlyRootFilesystem=True,
        ),
        terminationMessagePolicy="FallbackToLogsOnError",
        volumeMounts=mounts,
    )


def _probe(path: str, *, period: int, failures: int) -> core_v1.Probe:
    return core_v1.Probe(
        httpGet=core_v1.HTTPGetAction(path=path, port="https", scheme="HTTPS"),
        periodSeconds=period,
        timeoutSeconds=2,
        failureThreshold=failures,
    )


def _volumes(options: ManifestOptions) -> list[core_v1.Volume] | None:
    if options.self_managed:
        return None
    secret = core_v1.SecretVolumeSource(secretName=options.installation.issued_secret)
    return [core_v1.Volume(name="tls", secret=secret)]
