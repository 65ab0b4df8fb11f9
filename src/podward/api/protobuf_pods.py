"""Field numbers of Pods in protobuf, as Kubernetes' generated.proto has them: `kubectl debug` may make Pods.

The words are those of `protobuf.py`.
"""

from collections.abc import Mapping
from typing import Final

POD_MESSAGES: Final[Mapping[str, Mapping[int, tuple[str, str]]]] = {
    "Pod": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "AWSElasticBlockStoreVolumeSource": {
        1: ("volumeID", "text"), 2: ("fsType", "text"), 3: ("partition", "number"),
        4: ("readOnly", "flag"),
    },
    "Affinity": {
        1: ("nodeAffinity", "NodeAffinity"), 2: ("podAffinity", "PodAffinity"),
        3: ("podAntiAffinity", "PodAntiAffinity"),
    },
    "AppArmorProfile": {1: ("type", "text"), 2: ("localhostProfile", "text")},
    "AzureDiskVolumeSource": {
        1: ("diskName", "text"), 2: ("diskURI", "text"), 3: ("cachingMode", "text"),
        4: ("fsType", "text"), 5: ("readOnly", "bool"), 6: ("kind", "text"),
    },
    "AzureFileVolumeSource": {
        1: ("secretName", "text"), 2: ("shareName", "text"), 3: ("readOnly", "flag"),
    },
    "CSIVolumeSource": {
        1: ("driver", "text"), 2: ("readOnly", "bool"), 3: ("fsType", "text"),
        4: ("volumeAttributes", "map"), 5: ("nodePublishSecretRef", "LocalObjectReference"),
    },
    "Capabilities": {1: ("add", "[text]"), 2: ("drop", "[text]")},
    "CephFSVolumeSource": {
        1: ("monitors", "[text]"), 2: ("path", "text"), 3: ("user", "text"),
        4: ("secretFile", "text"), 5: ("secretRef", "LocalObjectReference"),
        6: ("readOnly", "flag"),
    },
    "CinderVolumeSource": {
        1: ("volumeID", "text"), 2: ("fsType", "text"), 3: ("readOnly", "flag"),
        4: ("secretRef", "LocalObjectReference"),
    },
    "ClusterTrustBundleProjection": {
        1: ("name", "text"), 2: ("signerName", "text"), 3: ("labelSelector", "LabelSelector"),
        4: ("path", "text"), 5: ("optional", "bool"),
    },
    "ConfigMapEnvSource": {1: ("", "*LocalObjectReference"), 2: ("optional", "bool")},
    "ConfigMapKeySelector": {
        1: ("", "*LocalObjectReference"), 2: ("key", "text"), 3: ("optional", "bool"),
    },
    "ConfigMapProjection": {
        1: ("", "*LocalObjectReference"), 2: ("items", "[KeyToPath]"), 4: ("optional", "bool"),
    },
    "ConfigMapVolumeSource": {
        1: ("", "*LocalObjectReference"), 2: ("items", "[KeyToPath]"), 3: ("defaultMode", "int"),
        4: ("optional", "bool"),
    },
    "Container": {
        1: ("name", "text"), 2: ("image", "text"), 3: ("command", "[text]"), 4: ("args", "[text]"),
        5: ("workingDir", "text"), 6: ("ports", "[ContainerPort]"), 7: ("env", "[EnvVar]"),
        8: ("resources", "ResourceRequirements"), 9: ("volumeMounts", "[VolumeMount]"),
        10: ("livenessProbe", "Probe"), 11: ("readinessProbe", "Probe"),
        12: ("lifecycle", "Lifecycle"), 13: ("terminationMessagePath", "text"),
        14: ("imagePullPolicy", "text"), 15: ("securityContext", "SecurityContext"),
        16: ("stdin", "flag"), 17: ("stdinOnce", "flag"), 18: ("tty", "flag"),
        19: ("envFrom", "[EnvFromSource]"), 20: ("terminationMessagePolicy", "text"),
        21: ("volumeDevices", "[VolumeDevice]"), 22: ("startupProbe", "Probe"),
        23: ("resizePolicy", "[ContainerResizePolicy]"), 24: ("restartPolicy", "text"),
    },
    "ContainerPort": {
        1: ("name", "text"), 2: ("hostPort", "number"), 3: ("containerPort", "int"),
        4: ("protocol", "text"), 5: ("hostIP", "text"),
    },
    "ContainerResizePolicy": {1: ("resourceName", "text"), 2: ("restartPolicy", "text")},
    "DownwardAPIProjection": {1: ("items", "[DownwardAPIVolumeFile]")},
    "DownwardAPIVolumeFile": {
        1: ("path", "text"), 2: ("fieldRef", "ObjectFieldSelector"),
        3: ("resourceFieldRef", "ResourceFieldSelector"), 4: ("mode", "int"),
    },
    "DownwardAPIVolumeSource": {1: ("items", "[DownwardAPIVolumeFile]"), 2: ("defaultMode", "int")},
    "EmptyDirVolumeSource": {1: ("medium", "text"), 2: ("sizeLimit", "quantity")},
    "EnvFromSource": {
        1: ("prefix", "text"), 2: ("configMapRef", "ConfigMapEnvSource"),
        3: ("secretRef", "SecretEnvSource"),
    },
    "EnvVar": {1: ("name", "text"), 2: ("value", "text"), 3: ("valueFrom", "EnvVarSource")},
    "EnvVarSource": {
        1: ("fieldRef", "ObjectFieldSelector"), 2: ("resourceFieldRef", "ResourceFieldSelector"),
        3: ("configMapKeyRef", "ConfigMapKeySelector"), 4: ("secretKeyRef", "SecretKeySelector"),
    },
    "EphemeralContainer": {
        1: ("", "*EphemeralContainerCommon"), 2: ("targetContainerName", "text"),
    },
    "EphemeralContainerCommon": {
        1: ("name", "text"), 2: ("image", "text"), 3: ("command", "[text]"), 4: ("args", "[text]"),
        5: ("workingDir", "text"), 6: ("ports", "[ContainerPort]"), 7: ("env", "[EnvVar]"),
        8: ("resources", "ResourceRequirements"), 9: ("volumeMounts", "[VolumeMount]"),
        10: ("livenessProbe", "Probe"), 11: ("readinessProbe", "Probe"),
        12: ("lifecycle", "Lifecycle"), 13: ("terminationMessagePath", "text"),
        14: ("imagePullPolicy", "text"), 15: ("securityContext", "SecurityContext"),
        16: ("stdin", "flag"), 17: ("stdinOnce", "flag"), 18: ("tty", "flag"),
        19: ("envFrom", "[EnvFromSource]"), 20: ("terminationMessagePolicy", "text"),
        21: ("volumeDevices", "[VolumeDevice]"), 22: ("startupProbe", "Probe"),
        23: ("resizePolicy", "[ContainerResizePolicy]"), 24: ("restartPolicy", "text"),
    },
    "EphemeralVolumeSource": {1: ("volumeClaimTemplate", "PersistentVolumeClaimTemplate")},
    "ExecAction": {1: ("command", "[text]")},
    "FCVolumeSource": {
        1: ("targetWWNs", "[text]"), 2: ("lun", "int"), 3: ("fsType", "text"),
        4: ("readOnly", "flag"), 5: ("wwids", "[text]"),
    },
    "FlexVolumeSource": {
        1: ("driver", "text"), 2: ("fsType", "text"), 3: ("secretRef", "LocalObjectReference"),
        4: ("readOnly", "flag"), 5: ("options", "map"),
    },
    "FlockerVolumeSource": {1: ("datasetName", "text"), 2: ("datasetUUID", "text")},
    "GCEPersistentDiskVolumeSource": {
        1: ("pdName", "text"), 2: ("fsType", "text"), 3: ("partition", "number"),
        4: ("readOnly", "flag"),
    },
    "GRPCAction": {1: ("port", "int"), 2: ("service", "text")},
    "GitRepoVolumeSource": {
        1: ("repository", "text"), 2: ("revision", "text"), 3: ("directory", "text"),
    },
    "GlusterfsVolumeSource": {
        1: ("endpoints", "text"), 2: ("path", "text"), 3: ("readOnly", "flag"),
    },
    "HTTPGetAction": {
        1: ("path", "text"), 2: ("port", "port"), 3: ("host", "text"), 4: ("scheme", "text"),
        5: ("httpHeaders", "[HTTPHeader]"),
    },
    "HTTPHeader": {1: ("name", "text"), 2: ("value", "text")},
    "HostAlias": {1: ("ip", "text"), 2: ("hostnames", "[text]")},
    "HostPathVolumeSource": {1: ("path", "text"), 2: ("type", "text")},
    "ISCSIVolumeSource": {
        1: ("targetPortal", "text"), 2: ("iqn", "text"), 3: ("lun", "int"),
        4: ("iscsiInterface", "text"), 5: ("fsType", "text"), 6: ("readOnly", "flag"),
        7: ("portals", "[text]"), 8: ("chapAuthDiscovery", "flag"),
        10: ("secretRef", "LocalObjectReference"), 11: ("chapAuthSession", "flag"),
        12: ("initiatorName", "text"),
    },
    "ImageVolumeSource": {1: ("reference", "text"), 2: ("pullPolicy", "text")},
    "KeyToPath": {1: ("key", "text"), 2: ("path", "text"), 3: ("mode", "int")},
    "Lifecycle": {1: ("postStart", "LifecycleHandler"), 2: ("preStop", "LifecycleHandler")},
    "LifecycleHandler": {
        1: ("exec", "ExecAction"), 2: ("httpGet", "HTTPGetAction"),
        3: ("tcpSocket", "TCPSocketAction"), 4: ("sleep", "SleepAction"),
    },
    "LocalObjectReference": {1: ("name", "text")},
    "NFSVolumeSource": {1: ("server", "text"), 2: ("path", "text"), 3: ("readOnly", "flag")},
    "NodeAffinity": {
        1: ("requiredDuringSchedulingIgnoredDuringExecution", "NodeSelector"),
        2: ("preferredDuringSchedulingIgnoredDuringExecution", "[PreferredSchedulingTerm]"),
    },
    "NodeSelector": {1: ("nodeSelectorTerms", "[NodeSelectorTerm]")},
    "NodeSelectorRequirement": {
        1: ("key", "text"), 2: ("operator", "text"), 3: ("values", "[text]"),
    },
    "NodeSelectorTerm": {
        1: ("matchExpressions", "[NodeSelectorRequirement]"),
        2: ("matchFields", "[NodeSelectorRequirement]"),
    },
    "ObjectFieldSelector": {1: ("apiVersion", "text"), 2: ("fieldPath", "text")},
    "PersistentVolumeClaimSpec": {
        1: ("accessModes", "[text]"), 2: ("resources", "VolumeResourceRequirements"),
        3: ("volumeName", "text"), 4: ("selector", "LabelSelector"),
        5: ("storageClassName", "text"), 6: ("volumeMode", "text"),
        7: ("dataSource", "TypedLocalObjectReference"),
        8: ("dataSourceRef", "TypedObjectReference"), 9: ("volumeAttributesClassName", "text"),
    },
    "PersistentVolumeClaimTemplate": {
        1: ("metadata", "ObjectMeta"), 2: ("spec", "PersistentVolumeClaimSpec"),
    },
    "PersistentVolumeClaimVolumeSource": {1: ("claimName", "text"), 2: ("readOnly", "flag")},
    "PhotonPersistentDiskVolumeSource": {1: ("pdID", "text"), 2: ("fsType", "text")},
    "PodAffinity": {
        1: ("requiredDuringSchedulingIgnoredDuringExecution", "[PodAffinityTerm]"),
        2: ("preferredDuringSchedulingIgnoredDuringExecution", "[WeightedPodAffinityTerm]"),
    },
    "PodAffinityTerm": {
        1: ("labelSelector", "LabelSelector"), 2: ("namespaces", "[text]"),
        3: ("topologyKey", "text"), 4: ("namespaceSelector", "LabelSelector"),
        5: ("matchLabelKeys", "[text]"), 6: ("mismatchLabelKeys", "[text]"),
    },
    "PodAntiAffinity": {
        1: ("requiredDuringSchedulingIgnoredDuringExecution", "[PodAffinityTerm]"),
        2: ("preferredDuringSchedulingIgnoredDuringExecution", "[WeightedPodAffinityTerm]"),
    },
    "PodDNSConfig": {
        1: ("nameservers", "[text]"), 2: ("searches", "[text]"),
        3: ("options", "[PodDNSConfigOption]"),
    },
    "PodDNSConfigOption": {1: ("name", "text"), 2: ("value", "text")},
    "PodOS": {1: ("name", "text")},
    "PodReadinessGate": {1: ("conditionType", "text")},
    "PodResourceClaim": {
        1: ("name", "text"), 3: ("resourceClaimName", "text"),
        4: ("resourceClaimTemplateName", "text"),
    },
    "PodSchedulingGate": {1: ("name", "text")},
    "PodSecurityContext": {
        1: ("seLinuxOptions", "SELinuxOptions"), 2: ("runAsUser", "int"),
        3: ("runAsNonRoot", "bool"), 4: ("supplementalGroups", "[int]"), 5: ("fsGroup", "int"),
        6: ("runAsGroup", "int"), 7: ("sysctls", "[Sysctl]"),
        8: ("windowsOptions", "WindowsSecurityContextOptions"), 9: ("fsGroupChangePolicy", "text"),
        10: ("seccompProfile", "SeccompProfile"), 11: ("appArmorProfile", "AppArmorProfile"),
        12: ("supplementalGroupsPolicy", "text"), 13: ("seLinuxChangePolicy", "text"),
    },
    "PodSpec": {
        1: ("volumes", "[Volume]"), 2: ("containers", "[Container]"), 3: ("restartPolicy", "text"),
        4: ("terminationGracePeriodSeconds", "int"), 5: ("activeDeadlineSeconds", "int"),
        6: ("dnsPolicy", "text"), 7: ("nodeSelector", "map"), 8: ("serviceAccountName", "text"),
        9: ("serviceAccount", "text"), 10: ("nodeName", "text"), 11: ("hostNetwork", "flag"),
        12: ("hostPID", "flag"), 13: ("hostIPC", "flag"),
        14: ("securityContext", "PodSecurityContext"),
        15: ("imagePullSecrets", "[LocalObjectReference]"), 16: ("hostname", "text"),
        17: ("subdomain", "text"), 18: ("affinity", "Affinity"), 19: ("schedulerName", "text"),
        20: ("initContainers", "[Container]"), 21: ("automountServiceAccountToken", "bool"),
        22: ("tolerations", "[Toleration]"), 23: ("hostAliases", "[HostAlias]"),
        24: ("priorityClassName", "text"), 25: ("priority", "int"),
        26: ("dnsConfig", "PodDNSConfig"), 27: ("shareProcessNamespace", "bool"),
        28: ("readinessGates", "[PodReadinessGate]"), 29: ("runtimeClassName", "text"),
        30: ("enableServiceLinks", "bool"), 31: ("preemptionPolicy", "text"),
        32: ("overhead", "quantity-map"),
        33: ("topologySpreadConstraints", "[TopologySpreadConstraint]"),
        34: ("ephemeralContainers", "[EphemeralContainer]"), 35: ("setHostnameAsFQDN", "bool"),
        36: ("os", "PodOS"), 37: ("hostUsers", "bool"),
        38: ("schedulingGates", "[PodSchedulingGate]"),
        39: ("resourceClaims", "[PodResourceClaim]"), 40: ("resources", "ResourceRequirements"),
    },
    "PortworxVolumeSource": {
        1: ("volumeID", "text"), 2: ("fsType", "text"), 3: ("readOnly", "flag"),
    },
    "PreferredSchedulingTerm": {1: ("weight", "int"), 2: ("preference", "NodeSelectorTerm")},
    "Probe": {
        1: ("", "*ProbeHandler"), 2: ("initialDelaySeconds", "number"),
        3: ("timeoutSeconds", "number"), 4: ("periodSeconds", "number"),
        5: ("successThreshold", "number"), 6: ("failureThreshold", "number"),
        7: ("terminationGracePeriodSeconds", "int"),
    },
    "ProbeHandler": {
        1: ("exec", "ExecAction"), 2: ("httpGet", "HTTPGetAction"),
        3: ("tcpSocket", "TCPSocketAction"), 4: ("grpc", "GRPCAction"),
    },
    "ProjectedVolumeSource": {1: ("sources", "[VolumeProjection]"), 2: ("defaultMode", "int")},
    "QuobyteVolumeSource": {
        1: ("registry", "text"), 2: ("volume", "text"), 3: ("readOnly", "flag"),
        4: ("user", "text"), 5: ("group", "text"), 6: ("tenant", "text"),
    },
    "RBDVolumeSource": {
        1: ("monitors", "[text]"), 2: ("image", "text"), 3: ("fsType", "text"), 4: ("pool", "text"),
        5: ("user", "text"), 6: ("keyring", "text"), 7: ("secretRef", "LocalObjectReference"),
        8: ("readOnly", "flag"),
    },
    "ResourceClaim": {1: ("name", "text"), 2: ("request", "text")},
    "ResourceFieldSelector": {
        1: ("containerName", "text"), 2: ("resource", "text"), 3: ("divisor", "quantity"),
    },
    "ResourceRequirements": {
        1: ("limits", "quantity-map"), 2: ("requests", "quantity-map"),
        3: ("claims", "[ResourceClaim]"),
    },
    "SELinuxOptions": {
        1: ("user", "text"), 2: ("role", "text"), 3: ("type", "text"), 4: ("level", "text"),
    },
    "ScaleIOVolumeSource": {
        1: ("gateway", "text"), 2: ("system", "text"), 3: ("secretRef", "LocalObjectReference"),
        4: ("sslEnabled", "flag"), 5: ("protectionDomain", "text"), 6: ("storagePool", "text"),
        7: ("storageMode", "text"), 8: ("volumeName", "text"), 9: ("fsType", "text"),
        10: ("readOnly", "flag"),
    },
    "SeccompProfile": {1: ("type", "text"), 2: ("localhostProfile", "text")},
    "SecretEnvSource": {1: ("", "*LocalObjectReference"), 2: ("optional", "bool")},
    "SecretKeySelector": {
        1: ("", "*LocalObjectReference"), 2: ("key", "text"), 3: ("optional", "bool"),
    },
    "SecretProjection": {
        1: ("", "*LocalObjectReference"), 2: ("items", "[KeyToPath]"), 4: ("optional", "bool"),
    },
    "SecretVolumeSource": {
        1: ("secretName", "text"), 2: ("items", "[KeyToPath]"), 3: ("defaultMode", "int"),
        4: ("optional", "bool"),
    },
    "SecurityContext": {
        1: ("capabilities", "Capabilities"), 2: ("privileged", "bool"),
        3: ("seLinuxOptions", "SELinuxOptions"), 4: ("runAsUser", "int"),
        5: ("runAsNonRoot", "bool"), 6: ("readOnlyRootFilesystem", "bool"),
        7: ("allowPrivilegeEscalation", "bool"), 8: ("runAsGroup", "int"), 9: ("procMount", "text"),
        10: ("windowsOptions", "WindowsSecurityContextOptions"),
        11: ("seccompProfile", "SeccompProfile"), 12: ("appArmorProfile", "AppArmorProfile"),
    },
    "ServiceAccountTokenProjection": {
        1: ("audience", "text"), 2: ("expirationSeconds", "int"), 3: ("path", "text"),
    },
    "SleepAction": {1: ("seconds", "int")},
    "StorageOSVolumeSource": {
        1: ("volumeName", "text"), 2: ("volumeNamespace", "text"), 3: ("fsType", "text"),
        4: ("readOnly", "flag"), 5: ("secretRef", "LocalObjectReference"),
    },
    "Sysctl": {1: ("name", "text"), 2: ("value", "text")},
    "TCPSocketAction": {1: ("port", "port"), 2: ("host", "text")},
    "Toleration": {
        1: ("key", "text"), 2: ("operator", "text"), 3: ("value", "text"), 4: ("effect", "text"),
        5: ("tolerationSeconds", "int"),
    },
    "TopologySpreadConstraint": {
        1: ("maxSkew", "int"), 2: ("topologyKey", "text"), 3: ("whenUnsatisfiable", "text"),
        4: ("labelSelector", "LabelSelector"), 5: ("minDomains", "int"),
        6: ("nodeAffinityPolicy", "text"), 7: ("nodeTaintsPolicy", "text"),
        8: ("matchLabelKeys", "[text]"),
    },
    "TypedLocalObjectReference": {
        1: ("apiGroup", "text"), 2: ("kind", "text"), 3: ("name", "text"),
    },
    "TypedObjectReference": {
        1: ("apiGroup", "text"), 2: ("kind", "text"), 3: ("name", "text"), 4: ("namespace", "text"),
    },
    "Volume": {1: ("name", "text"), 2: ("", "*VolumeSource")},
    "VolumeDevice": {1: ("name", "text"), 2: ("devicePath", "text")},
    "VolumeMount": {
        1: ("name", "text"), 2: ("readOnly", "flag"), 3: ("mountPath", "text"),
        4: ("subPath", "text"), 5: ("mountPropagation", "text"), 6: ("subPathExpr", "text"),
        7: ("recursiveReadOnly", "text"),
    },
    "VolumeProjection": {
        1: ("secret", "SecretProjection"), 2: ("downwardAPI", "DownwardAPIProjection"),
        3: ("configMap", "ConfigMapProjection"),
        4: ("serviceAccountToken", "ServiceAccountTokenProjection"),
        5: ("clusterTrustBundle", "ClusterTrustBundleProjection"),
    },
    "VolumeResourceRequirements": {1: ("limits", "quantity-map"), 2: ("requests", "quantity-map")},
    "VolumeSource": {
        1: ("hostPath", "HostPathVolumeSource"), 2: ("emptyDir", "EmptyDirVolumeSource"),
        3: ("gcePersistentDisk", "GCEPersistentDiskVolumeSource"),
        4: ("awsElasticBlockStore", "AWSElasticBlockStoreVolumeSource"),
        5: ("gitRepo", "GitRepoVolumeSource"), 6: ("secret", "SecretVolumeSource"),
        7: ("nfs", "NFSVolumeSource"), 8: ("iscsi", "ISCSIVolumeSource"),
        9: ("glusterfs", "GlusterfsVolumeSource"),
        10: ("persistentVolumeClaim", "PersistentVolumeClaimVolumeSource"),
        11: ("rbd", "RBDVolumeSource"), 12: ("flexVolume", "FlexVolumeSource"),
        13: ("cinder", "CinderVolumeSource"), 14: ("cephfs", "CephFSVolumeSource"),
        15: ("flocker", "FlockerVolumeSource"), 16: ("downwardAPI", "DownwardAPIVolumeSource"),
        17: ("fc", "FCVolumeSource"), 18: ("azureFile", "AzureFileVolumeSource"),
        19: ("configMap", "ConfigMapVolumeSource"),
        20: ("vsphereVolume", "VsphereVirtualDiskVolumeSource"),
        21: ("quobyte", "QuobyteVolumeSource"), 22: ("azureDisk", "AzureDiskVolumeSource"),
        23: ("photonPersistentDisk", "PhotonPersistentDiskVolumeSource"),
        24: ("portworxVolume", "PortworxVolumeSource"), 25: ("scaleIO", "ScaleIOVolumeSource"),
        26: ("projected", "ProjectedVolumeSource"), 27: ("storageos", "StorageOSVolumeSource"),
        28: ("csi", "CSIVolumeSource"), 29: ("ephemeral", "EphemeralVolumeSource"),
        30: ("image", "ImageVolumeSource"),
    },
    "VsphereVirtualDiskVolumeSource": {
        1: ("volumePath", "text"), 2: ("fsType", "text"), 3: ("storagePolicyName", "text"),
        4: ("storagePolicyID", "text"),
    },
    "WeightedPodAffinityTerm": {1: ("weight", "int"), 2: ("podAffinityTerm", "PodAffinityTerm")},
    "WindowsSecurityContextOptions": {
        1: ("gmsaCredentialSpecName", "text"), 2: ("gmsaCredentialSpec", "text"),
        3: ("runAsUserName", "text"), 4: ("hostProcess", "bool"),
    },
}  # fmt: skip
