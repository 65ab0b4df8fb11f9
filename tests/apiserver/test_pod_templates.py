"""The life of a PodTemplate, as conformance has it; and runtime classes, which no namespace holds."""

import json

from tests.apiserver.support import started

from podward.simulate.virtual_loop import run

TEMPLATES = "/api/v1/namespaces/default/podtemplates"
CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"


def template(name: str) -> dict[str, object]:
    spec = {"containers": [{"name": "a", "image": "busybox"}]}
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": name, "labels": {"set": "one"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec},
    }


def test_a_template_is_created_completed_patched_replaced_and_deleted_with_its_like() -> None:
    async def scenario() -> None:
        call = await started()
        for name in ("x", "y"):
            made = await call("POST", TEMPLATES, template(name))
            assert made.status == 201
        spec = made.json["template"]["spec"]
        assert (spec["restartPolicy"], spec["dnsPolicy"]) == ("Always", "ClusterFirst")
        assert spec["containers"][0]["terminationMessagePolicy"] == "File"
        assert "status" not in made.json
        merge = {"content-type": "application/merge-patch+json"}
        patch = {"metadata": {"labels": {"set": "two"}}}
        patched = await call("PATCH", f"{TEMPLATES}/x", patch, headers=merge)
        assert patched.json["metadata"]["labels"] == {"set": "two"}
        replaced = patched.json
        replaced["metadata"]["annotations"] = {"seen": "yes"}
        replaced = await call("PUT", f"{TEMPLATES}/x", replaced)
        assert replaced.json["metadata"]["annotations"] == {"seen": "yes"}
        listed = await call("GET", "/api/v1/podtemplates", labelSelector="set=one")
        assert [one["metadata"]["name"] for one in listed.json["items"]] == ["y"]
        await call("DELETE", TEMPLATES, labelSelector="set in (one,two)")
        assert (await call("GET", TEMPLATES)).json["items"] == []

    run(scenario())


def test_a_template_of_pods_that_could_not_be_is_refused() -> None:
    async def scenario() -> None:
        call = await started()
        wrong = json.loads(json.dumps(template("x")).replace('"busybox"', '""'))
        refused = await call("POST", TEMPLATES, wrong)
        assert (refused.status, refused.json["message"]) == (
            422,
            'PodTemplate "x" is invalid: template.spec.containers[0].image: Required value',
        )

    run(scenario())


def test_a_runtime_class_keeps_its_handler() -> None:
    async def scenario() -> None:
        call = await started()
        kata = {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "kata"},
            "handler": "kata",
        }
        made = await call("POST", CLASSES, kata)
        assert made.status == 201
        changed = await call("PUT", f"{CLASSES}/kata", {**made.json, "handler": "runc"})
        assert (changed.status, changed.json["message"]) == (
            422,
            'RuntimeClass.node.k8s.io "kata" is invalid: handler: Invalid value: "runc": field is '
            "immutable",
        )

    run(scenario())
