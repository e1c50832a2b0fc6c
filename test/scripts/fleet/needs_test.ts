import assert from "node:assert/strict";
import { lackOf, needsOf } from "../../../scripts/fleet/needs.ts";
import { canonicalRequest } from "../../../scripts/fleet/request_name.ts";

const worker = (id: string, offers: Record<string, Record<string, string>>) => ({
  ...{ id, offers, device: "none", seconds: 0, done: 0, failed: 0 },
});

Deno.test("what a request names of each kind is read from its texts", () => {
  const needs = (request: object) => needsOf(canonicalRequest(request, "sd"));
  const control = { control: ["AQID"] };
  assert.deepEqual(
    needs({
      model: "a:b",
      vae: "fine",
      lora: ["style:0.8:to=0.5", "ink"],
      controlnet: ["edges:0.5"],
      ...control,
    }),
    [["model", "a:b"], ["vae", "fine"], ["lora", "style"], ["lora", "ink"], ["controlnet", "edges"]],
  );
  assert.deepEqual(
    needs({
      "t2i-adapter": ["depth"],
      "ip-adapter": ["face:0.3"],
      "ip-image": ["AQID"],
      embedding: ["joy=<joy>"],
      ...control,
    }),
    [["model", "sd"], ["t2i-adapter", "depth"], ["ip-adapter", "face"], ["embedding", "joy"]],
  );
  assert.deepEqual(needsOf(canonicalRequest({}, "sd")), [["model", "sd"]]);
});

Deno.test("what no worker offers is said with what they offer, what none offers together likewise", () => {
  const needs = needsOf(canonicalRequest({ lora: ["style:2"] }, "sd"));
  const [plain, other] = [
    worker("a", { model: { sd: "1" } }),
    worker("b", { model: { xl: "1" }, lora: { style: "1" } }),
  ];
  assert.equal(lackOf(needs, [plain, worker("c", { model: { sd: "1" }, lora: { style: "1" } })]), undefined);
  assert.equal(lackOf(needs, []), "No worker offers the model sd with the lora style; no worker is there");
  assert.equal(lackOf(needs, [plain]), "No worker offers the lora style; offered are lora: none");
  assert.equal(
    lackOf(needs, [plain, other]),
    "No worker offers the model sd with the lora style; offered are model: sd, xl; lora: style",
  );
});
