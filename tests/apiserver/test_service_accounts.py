"""Accounts at the server: their tokens, who comes with one, what he may, and what every namespace has of it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.apiserver.support import EPOCH, PODS, Answer, Caller, pod

from podward.admission.chain import AdmissionChain
from podward.api.errors import unauthorized
from podward.apiserver.app import ApiServer, Scope
from podward.apiserver.authentication import bearer_token
from podward.apiserver.identity import SYSTEM, Identity
from podward.apiserver.service_account_tokens import SigningKey
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.store.memory import MemoryStore

NAMESPACES = "/api/v1/namespaces"
ACCOUNTS = f"{NAMESPACES}/default/serviceaccounts"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
RBAC = "rbac.authorization.k8s.io"
ROBOT = "system:serviceaccount:default:default"
USERS = {b"root": SYSTEM, b"jane": Identity("jane", ("devs", "system:authenticated"))}


def authenticate(scope: Scope) -> Identity:
    known = USERS.get(bearer_token(scope))
    if known is None:
        raise unauthorized()
    return known


@dataclass
class Api:
    caller: Caller

    async def __call__(
        self, method: str, path: str, body: Any = None, token: str = "root", **query: str
    ) -> Answer:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.caller(method, path, body, headers=headers, query=query)

    async def token(self, name: str = "default", **spec: Any) -> str:
        answer = await self("POST", f"{ACCOUNTS}/{name}/token", {"spec": spec})
        assert answer.status == 201, answer
        return str(answer.json["status"]["token"])

    async def permit(self, *verbs: str, resource: str = "pods", to: str = "default") -> None:
        rules = [{"verbs": verbs, "apiGroups": [""], "resources": [resource]}]
        await self("POST", f"{ROLES}/roles", {"metadata": {"name": "r"}, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": to, "namespace": "default"}
        answer = await self("POST", f"{ROLES}/rolebindings", binding("r", subject))
        assert answer.status == 201, answer


def binding(role: str, *subjects: Any, kind: str = "Role", name: str = "b") -> dict[str, Any]:
    reference = {"apiGroup": RBAC, "kind": kind, "name": role}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": list(subjects)}


@asynccontextmanager
async def served() -> AsyncIterator[Api]:
    server = ApiServer(
        MemoryStore(), LoopClock(EPOCH), Entropy(1), admission=AdmissionChain([]),
        node_access=None, authenticate=authenticate,
        signing_key=SigningKey.drawn_from(Entropy(2)), root_ca="THE CA",
    )  # fmt: skip
    await server.bootstrap()
    loops = [
        asyncio.create_task(server.run_namespace_lifecycle()),
        asyncio.create_task(server.run_secret_tokens()),
    ]
    yield Api(Caller(server))
    for loop in loops:
        loop.cancel()


def tried(scenario: Callable[[Api], Awaitable[None]]) -> None:
    async def main() -> None:
        async with served() as api:
            await scenario(api)

    run(main())


def claims(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def text(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["message"]


# ---- asking for tokens


def test_a_token_is_asked_for_and_says_whose_it_is() -> None:
    async def scenario(api: Api) -> None:
        answer = await api(
            "POST", f"{ACCOUNTS}/default/token", {"spec": {"expirationSeconds": 600}}
        )
        assert answer.status == 201
        made = answer.json
        assert (made["apiVersion"], made["kind"]) == ("authentication.k8s.io/v1", "TokenRequest")
        assert made["metadata"]["name"] == "default"
        assert made["status"]["expirationTimestamp"] == "2026-01-01T00:10:00Z"
        said = claims(made["status"]["token"])
        assert made["spec"]["audiences"] == said["aud"] == [said["iss"]]
        account = (await api("GET", f"{ACCOUNTS}/default")).json
        assert said["kubernetes.io"] == {
            "namespace": "default",
            "serviceaccount": {"name": "default", "uid": account["metadata"]["uid"]},
        }

    tried(scenario)


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"expirationSeconds": 599},
         (422, 'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: '
               "599: may not specify a duration less than 10 minutes")),
        ({"expirationSeconds": (1 << 32) + 1},
         (422, 'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: '
               "4294967297: may not specify a duration larger than 2^32 seconds")),
        ({"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}},
         (400, "cannot bind token to object of type /v1, Kind=ConfigMap")),
        ({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "x"}},
         (404, 'pods "x" not found')),
        ({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "web"}},
         (400, 'cannot bind token for serviceaccount "default" to pod running with different serviceaccount '
               "name.")),
        ({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "other"}},
         (409, 'Operation cannot be fulfilled on Secret "s": the UID in the bound object reference (other) '
               "does not match the UID in record. The object might have been deleted and then recreated")),
    ],
)  # fmt: skip
def test_what_no_token_is_made_for(spec: dict[str, Any], refusal: tuple[int, str]) -> None:
    async def scenario(api: Api) -> None:
        await api("POST", PODS, pod(serviceAccountName="other"))
        await api("POST", f"{NAMESPACES}/default/secrets", {"metadata": {"name": "s"}})
        answer = await api("POST", f"{ACCOUNTS}/default/token", {"spec": spec})
        assert text(answer) == refusal

    tried(scenario)


def test_an_account_must_be_there_and_only_posted_to() -> None:
    async def scenario(api: Api) -> None:
        answer = await api("POST", f"{ACCOUNTS}/robot/token", {})
        assert text(answer) == (404, 'serviceaccounts "robot" not found')
        assert (await api("GET", f"{ACCOUNTS}/default/token")).status == 405
        elsewhere = {"metadata": {"name": "other"}}
        assert (await api("POST", f"{ACCOUNTS}/default/token", elsewhere)).status == 400

    tried(scenario)


# ---- coming with one


def test_who_comes_with_a_token_may_what_roles_give_and_no_more() -> None:
    async def scenario(api: Api) -> None:
        token = await api.token()
        assert text(await api("GET", PODS, token=token)) == (
            403, f'pods is forbidden: User "{ROBOT}" cannot list resource "pods" in API group "" in the '
                 'namespace "default"',
        )  # fmt: skip
        await api.permit("get", "list")
        assert (await api("GET", PODS, token=token)).status == 200
        await api("POST", PODS, pod())
        assert (await api("GET", f"{PODS}/web", token=token)).status == 200
        for method, path in (("DELETE", f"{PODS}/web"), ("GET", f"{PODS}/web/log"),
                             ("GET", f"{NAMESPACES}/kube-system/pods"), ("GET", "/metrics"),
                             ("GET", "/apis/none/v1/things")):  # fmt: skip
            assert (await api(method, path, token=token)).status == 403
        await api("DELETE", f"{ROLES}/rolebindings/b")
        assert (await api("GET", PODS, token=token)).status == 403

    tried(scenario)


def test_a_token_ends_with_its_time() -> None:
    async def scenario(api: Api) -> None:
        await api.permit("list")
        token = await api.token(expirationSeconds=600)
        await asyncio.sleep(660)
        assert (await api("GET", PODS, token=token)).status == 200
        await asyncio.sleep(1)
        assert text(await api("GET", PODS, token=token)) == (401, "Unauthorized")

    tried(scenario)


def test_a_token_is_worth_nothing_where_it_is_not_meant_for() -> None:
    async def scenario(api: Api) -> None:
        await api.permit("list")
        token = await api.token(audiences=["vault"])
        assert (await api("GET", PODS, token=token)).status == 401
        for wrong in ("nonsense", "a.b.c", token[:-3] + "AAA", "ünsinn"):
            assert (await api("GET", PODS, token=wrong)).status == 401

    tried(scenario)


def test_a_token_ends_with_its_account_though_another_takes_the_name() -> None:
    async def scenario(api: Api) -> None:
        await api.permit("list")
        token = await api.token()
        await api("DELETE", f"{ACCOUNTS}/default")
        await asyncio.sleep(1)
        assert (await api("GET", f"{ACCOUNTS}/default")).status == 200  # made anew
        assert (await api("GET", PODS, token=token)).status == 401
        assert (await api("GET", PODS, token=await api.token())).status == 200

    tried(scenario)


@pytest.mark.parametrize("kind", ["Pod", "Secret"])
def test_a_bound_token_ends_with_what_it_is_bound_to(kind: str) -> None:
    place = f"{NAMESPACES}/default/{kind.lower()}s"
    document: dict[str, Any] = {"metadata": {"name": "web"}}
    if kind == "Pod":
        document = pod(serviceAccountName="default")

    async def scenario(api: Api) -> None:
        await api.permit("list")
        await api("POST", place, document)
        token = await api.token(boundObjectRef={"apiVersion": "v1", "kind": kind, "name": "web"})
        assert (await api("GET", PODS, token=token)).status == 200
        await api("DELETE", f"{place}/web")
        assert (await api("GET", PODS, token=token)).status == 401
        await api("POST", place, document)  # another of the same name
        assert (await api("GET", PODS, token=token)).status == 401

    tried(scenario)


def test_a_pod_that_is_leaving_has_a_minute() -> None:
    async def scenario(api: Api) -> None:
        await api.permit("list")
        await api("POST", PODS, pod(serviceAccountName="default", nodeName="n1"))
        token = await api.token(boundObjectRef={"apiVersion": "v1", "kind": "Pod", "name": "web"})
        await api("DELETE", f"{PODS}/web")
        await asyncio.sleep(90)  # its grace is 30 s
        assert (await api("GET", PODS, token=token)).status == 200
        await asyncio.sleep(1)
        assert (await api("GET", PODS, token=token)).status == 401

    tried(scenario)


# ---- reviews


def test_a_pods_token_says_whose_and_which_pods_it_is() -> None:
    async def scenario(api: Api) -> None:
        await api("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
        made = (await api("POST", PODS, pod(serviceAccountName="default", nodeName="n1"))).json
        token = await api.token(boundObjectRef={"apiVersion": "v1", "kind": "Pod", "name": "web"})
        answer = await api("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                           {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"},
                           token=token)  # fmt: skip
        assert answer.status == 201
        user = answer.json["status"]["userInfo"]
        assert user["username"] == ROBOT
        assert user["groups"] == [
            "system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated",
        ]  # fmt: skip
        extra = {
            k.removeprefix("authentication.kubernetes.io/"): v for k, v in user["extra"].items()
        }
        assert extra["pod-name"] == ["web"]
        assert extra["pod-uid"] == [made["metadata"]["uid"]]
        assert extra["node-name"] == ["n1"]
        assert extra["credential-id"] == [f"JTI={claims(token)['jti']}"]
        review = {"spec": {"token": token}}
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        assert (await api("POST", path, review)).json["status"] == {
            "authenticated": True, "audiences": [claims(token)["iss"]], "user": user,
        }  # fmt: skip
        assert (await api("POST", path, review, token=token)).status == 403
        refused = (await api("POST", path, {"spec": {"token": "x"}})).json["status"]
        assert refused["authenticated"] is False
        assert refused["error"].startswith("[invalid bearer token, ")

    tried(scenario)


def test_what_one_may_can_be_asked() -> None:
    async def scenario(api: Api) -> None:
        await api.permit("get", "list")
        token, group = await api.token(), "/apis/authorization.k8s.io/v1"

        async def may(who: str, kind: str, spec: Any) -> Any:
            return (await api("POST", f"{group}/{kind}", {"spec": spec}, token=who)).json["status"]

        listing = {"namespace": "default", "verb": "list", "resource": "pods"}
        allowed = await may(token, "selfsubjectaccessreviews", {"resourceAttributes": listing})
        assert allowed == {
            "allowed": True,
            "reason": 'RBAC: allowed by RoleBinding "b/default" of Role "r" to ServiceAccount '
                      '"default/default"',
        }  # fmt: skip
        deleting = {**listing, "verb": "delete"}
        assert await may(token, "selfsubjectaccessreviews", {"resourceAttributes": deleting}) == {
            "allowed": False
        }
        of_robot = {"user": ROBOT, "groups": [], "resourceAttributes": listing}
        assert (await may("root", "subjectaccessreviews", of_robot))["allowed"]
        url = {"user": "x", "nonResourceAttributes": {"verb": "get", "path": "/metrics"}}
        assert not (await may("root", "subjectaccessreviews", url))["allowed"]
        local = await api("POST", f"{group}/namespaces/other/localsubjectaccessreviews",
                          {"spec": of_robot})  # fmt: skip
        assert local.status == 422
        rules = await may(token, "selfsubjectrulesreviews", {"namespace": "default"})
        assert {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]} in rules[
            "resourceRules"
        ]
        assert any("/version" in rule["nonResourceURLs"] for rule in rules["nonResourceRules"])
        assert (await api("GET", f"{group}/selfsubjectaccessreviews")).status == 405

    tried(scenario)


# ---- acting as somebody else


def test_who_may_acts_as_somebody_else_and_has_his_rights_only() -> None:
    async def scenario(api: Api) -> None:
        await api.permit("list")

        async def acting(token: str, user: str, path: str = PODS) -> Answer:
            headers = {"authorization": f"Bearer {token}", "impersonate-user": user}
            return await api.caller("GET", path, headers=headers)

        assert (await acting("root", ROBOT)).status == 200
        assert (await acting("root", "jane")).status == 403
        assert text(await acting("jane", "root")) == (
            403, 'users "root" is forbidden: User "jane" cannot impersonate resource "users" in API group "" '
                 "at the cluster scope",
        )  # fmt: skip
        masters = {"authorization": "Bearer jane", "impersonate-group": "system:masters"}
        assert (await api.caller("GET", PODS, headers=masters)).status == 400

    tried(scenario)


# ---- giving rights away


def test_nobody_gives_what_he_has_not_got() -> None:
    async def scenario(api: Api) -> None:
        jane = {"kind": "User", "name": "jane", "apiGroup": RBAC}
        rules = [
            {"verbs": ["*"], "apiGroups": [RBAC], "resources": ["roles", "rolebindings"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
        ]
        rules[0]["verbs"] = ["create", "update"]
        await api("POST", f"{ROLES}/roles", {"metadata": {"name": "giver"}, "rules": rules})
        await api("POST", f"{ROLES}/rolebindings", binding("giver", jane))

        async def gives(kind: str, body: Any) -> Answer:
            return await api("POST", f"{ROLES}/{kind}", body, token="jane")

        pods = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
        more = [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]
        assert (await gives("roles", {"metadata": {"name": "a"}, "rules": pods})).status == 201
        assert text(await gives("roles", {"metadata": {"name": "m"}, "rules": more})) == (
            403,
            f'roles.{RBAC} "m" is forbidden: user "jane" (groups=["devs" "system:authenticated"]) is '
            'attempting to grant RBAC permissions not currently held:\n'
            '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
        )  # fmt: skip
        assert (await gives("rolebindings", binding("a", jane, name="mine"))).status == 201
        every = binding("cluster-admin", jane, kind="ClusterRole", name="all")
        assert (await gives("rolebindings", every)).status == 403
        assert (await gives("rolebindings", binding("none", jane, name="n"))).status == 404
        wider = {"metadata": {"name": "a"}, "rules": more}
        answer = await api("PUT", f"{ROLES}/roles/a", wider, token="jane")
        assert answer.status == 403

    tried(scenario)


def test_a_binding_never_changes_its_role() -> None:
    async def scenario(api: Api) -> None:
        await api.permit("get")
        answer = await api("PUT", f"{ROLES}/rolebindings/b", binding("other"))
        assert text(answer) == (
            422,
            f'RoleBinding.{RBAC} "b" is invalid: roleRef: Invalid value: '
            f'{{"APIGroup":"{RBAC}","Kind":"Role","Name":"other"}}: cannot change roleRef',
        )

    tried(scenario)


# ---- what every namespace has


def test_every_namespace_has_the_authoritys_certificate_whoever_deletes_or_changes_it() -> None:
    async def scenario(api: Api) -> None:
        await api("POST", NAMESPACES, {"metadata": {"name": "new"}})
        await asyncio.sleep(1)
        for namespace in ("default", "kube-system", "new"):
            place = f"{NAMESPACES}/{namespace}/configmaps/kube-root-ca.crt"

            async def found(place: str = place) -> Any:
                await asyncio.sleep(1)
                answer = (await api("GET", place)).json
                assert "kubernetes.io/description" in answer["metadata"]["annotations"]
                return answer["data"]

            assert await found() == {"ca.crt": "THE CA"}
            await api("DELETE", place)
            assert await found() == {"ca.crt": "THE CA"}
            changed = (await api("GET", place)).json
            changed["data"] = {"ca.crt": "mine", "more": "x"}
            assert (await api("PUT", place, changed)).status == 200
            assert await found() == {"ca.crt": "THE CA"}

    tried(scenario)


def test_a_namespace_with_a_certificate_can_go() -> None:
    async def scenario(api: Api) -> None:
        await api("POST", NAMESPACES, {"metadata": {"name": "new"}})
        await asyncio.sleep(1)
        await api("DELETE", f"{NAMESPACES}/new")
        await asyncio.sleep(5)
        assert (await api("GET", f"{NAMESPACES}/new")).status == 404

    tried(scenario)


def test_a_second_start_changes_nothing() -> None:
    async def scenario(api: Api) -> None:
        registry = api.caller.server.registry
        before = registry.store.revision
        await api.caller.server.bootstrap()
        assert registry.store.revision == before

    tried(scenario)


# ---- tokens in Secrets

SECRETS = f"{NAMESPACES}/default/secrets"


def kept(account: str = "default", name: str = "kept") -> dict[str, Any]:
    annotations = {"kubernetes.io/service-account.name": account} if account else {}
    return {
        "metadata": {"name": name, "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }


def test_a_secret_is_filled_with_a_token_that_ends_with_it() -> None:
    async def scenario(api: Api) -> None:
        await api.permit("list")
        assert (await api("POST", SECRETS, kept())).status == 201
        await asyncio.sleep(0.1)
        secret = (await api("GET", f"{SECRETS}/kept")).json
        data = {k: base64.b64decode(v).decode() for k, v in secret["data"].items()}
        token = data.pop("token")
        assert data == {"ca.crt": "THE CA", "namespace": "default"}
        assert "exp" not in claims(token)
        await asyncio.sleep(10 * 24 * 3600)
        assert (await api("GET", PODS, token=token)).status == 200
        version = secret["metadata"]["resourceVersion"]
        assert (await api("GET", f"{SECRETS}/kept")).json["metadata"]["resourceVersion"] == version
        await api("DELETE", f"{SECRETS}/kept")
        assert (await api("GET", PODS, token=token)).status == 401

    tried(scenario)


def test_a_secret_goes_with_its_account_and_comes_to_nothing_without_one() -> None:
    async def scenario(api: Api) -> None:
        await api("POST", SECRETS, kept("robot"))
        await asyncio.sleep(0.1)
        assert (await api("GET", f"{SECRETS}/kept")).status == 404
        await api("POST", SECRETS, kept())
        await api("POST", SECRETS, {"metadata": {"name": "plain"}})
        await asyncio.sleep(0.1)
        await api("DELETE", f"{ACCOUNTS}/default")
        await asyncio.sleep(2)
        assert (await api("GET", f"{ACCOUNTS}/default")).status == 200
        assert (await api("GET", f"{SECRETS}/kept")).status == 404
        assert (await api("GET", f"{SECRETS}/plain")).status == 200

    tried(scenario)


def test_a_secret_for_a_token_names_its_account() -> None:
    async def scenario(api: Api) -> None:
        assert text(await api("POST", SECRETS, kept(""))) == (
            422,
            'Secret "kept" is invalid: metadata.annotations[kubernetes.io/service-account.name]: Required '
            "value",
        )

    tried(scenario)


# ---- what others need to check tokens


def test_the_keys_are_published_to_accounts() -> None:
    async def scenario(api: Api) -> None:
        token = await api.token()
        for path in ("/.well-known/openid-configuration", "/openid/v1/jwks"):
            assert (await api("GET", path, token=token)).status == 200
            assert (await api("GET", path, token="jane")).status == 403
        keys = await api("GET", "/openid/v1/jwks")
        assert keys.headers["content-type"] == "application/jwk-set+json"
        head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        assert [key["kid"] for key in keys.json["keys"]] == [head["kid"]]

    tried(scenario)


def test_rows_of_roles_and_bindings() -> None:
    async def scenario(api: Api) -> None:
        table = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1",
                 "authorization": "Bearer root"}  # fmt: skip
        await api.permit("get")
        answer = await api.caller("GET", f"{ROLES}/rolebindings", headers=table)
        names = [column["name"] for column in answer.json["columnDefinitions"]]
        assert names == ["Name", "Role", "Age", "Users", "Groups", "ServiceAccounts"]
        assert answer.json["rows"][0]["cells"] == ["b", "Role/r", "0s", "", "", "default/default"]
        answer = await api.caller("GET", f"/apis/{RBAC}/v1/clusterroles", headers=table)
        assert [c["name"] for c in answer.json["columnDefinitions"]] == ["Name", "Created At"]

    tried(scenario)
