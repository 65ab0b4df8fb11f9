"""Asks the policy that is stored now: for requests, for reviews, and for who would give rights away."""

from lightkube.models import rbac_v1

from podward.admission.base import AdmissionPlugin, AdmissionRequest, StoredObjects
from podward.api import errors
from podward.apiserver.attributes import Attributes, refusal
from podward.apiserver.authorization import MASTERS, Policy, Rules, compact, quoted, rule_text
from podward.apiserver.identity import Identity

_KINDS = (
    rbac_v1.Role,
    rbac_v1.ClusterRole,
    rbac_v1.RoleBinding,
    rbac_v1.ClusterRoleBinding,
)
_GROUP = "rbac.authorization.k8s.io"


class Authorizer:
    def __init__(self, objects: StoredObjects) -> None:
        self._objects = objects
        self._policy = Policy()
        self._made_at: tuple[int, ...] | None = None

    async def policy(self) -> Policy:
        """Made anew when a role or a binding was written: a look into a table tells."""
        objects = self._objects
        now = tuple(map(objects.version, _KINDS))
        if now != self._made_at:
            self._policy = Policy(
                await objects.list(rbac_v1.Role),
                await objects.list(rbac_v1.ClusterRole),
                await objects.list(rbac_v1.RoleBinding),
                await objects.list(rbac_v1.ClusterRoleBinding),
            )
            self._made_at = now
        return self._policy

    async def require(self, identity: Identity, asked: Attributes) -> None:
        """403 if it may not."""
        allowed, reason = (await self.policy()).authorize(identity, asked)
        if not allowed:
            raise refusal(identity.name, asked, reason)


class EscalationCheck(AdmissionPlugin):
    """Nobody gives what he has not got: neither in a role nor by binding one.

    The verbs `escalate` and `bind` on roles are the two ways around it, as in Kubernetes.
    """

    async def validate(self, request: AdmissionRequest) -> None:
        new, old = request.object, request.old_object
        if not isinstance(new, _KINDS) or MASTERS in request.groups:
            return
        policy = await Authorizer(request.objects).policy()
        identity = Identity(request.user, request.groups)
        if isinstance(new, rbac_v1.Role | rbac_v1.ClusterRole):
            if old is not None and _gives(old) == _gives(new):
                return
            wanted: Rules = new.rules or ()
            asked = Attributes(
                "escalate", _GROUP, request.resource.plural, "", request.namespace, request.name
            )
            if isinstance(new, rbac_v1.ClusterRole) and new.aggregationRule is not None:
                # What it will gather nobody knows yet.
                wanted = [
                    *wanted,
                    rbac_v1.PolicyRule(verbs=["*"], apiGroups=["*"], resources=["*"]),
                ]
        else:
            if old is not None and old.subjects == new.subjects and old.roleRef == new.roleRef:
                return
            role = new.roleRef
            plural = f"{role.kind.lower()}s"
            asked = Attributes("bind", _GROUP, plural, "", request.namespace, role.name)
            found = policy.role_rules(role, request.namespace)
            if found is None and not policy.authorize(identity, asked)[0]:
                raise errors.status_error(
                    404, "NotFound", f'{plural}.{_GROUP} "{role.name}" not found'
                )
            wanted = found or ()
        if policy.authorize(identity, asked)[0]:
            return
        lacking = policy.lacking(identity, request.namespace, wanted)
        if lacking:
            texts = "\n".join(sorted(map(rule_text, compact(lacking))))
            raise errors.forbidden(
                request.resource,
                request.name,
                f'user "{request.user}" (groups={quoted(request.groups)}) is attempting to grant RBAC '
                f"permissions not currently held:\n{texts}",
            )


def _gives(role: rbac_v1.Role | rbac_v1.ClusterRole) -> object:
    return role.rules, getattr(role, "aggregationRule", None)
