import assert from "node:assert/strict";
import { CLIPTextModel } from "../../../src/models/mod.ts";
import { device } from "../../support/device.ts";

const folder = `${import.meta.dirname}/../../../models/emoji-diffusion`;

for (const [quantize, least, most] of [["int8", 0.002, 0.008], ["int4", 0.04, 0.12]] as const) {
  Deno.test(`a model in ${quantize} takes as few bytes as planned, and says once how far its matrices are off`, async () => {
    const notices: string[] = [];
    const before = device.buffers.usage().bytes;
    using model = await CLIPTextModel.fromPretrained(folder, {
      subfolder: "text_encoder",
      dtype: "f32",
      quantize,
      onNotice: (line) => notices.push(line),
    });
    assert.equal(model.bytes, model.bytesAs({ quantize }));
    assert.ok(model.bytes < model.bytesAs({ quantize: undefined }));
    assert.ok(device.buffers.usage().bytes - before < model.bytes + 200_000); // inputs of its trace
    const errors = [...model.packingErrors];
    assert.equal(errors.length, 12);
    for (const [name, error] of errors) assert.ok(error > least && error < most, `${name}: ${error}`);

    model.unload();
    await model.load();
    assert.equal(notices.length, 1);
    assert.match(
      notices[0]!,
      /^CLIPTextModel: 12 matrices in fewer bits, off by \d\.\d\d %, at most by .* in "text_model\./,
    );
  });
}

Deno.test("a model whose weights are whole has no such errors", async () => {
  using model = await CLIPTextModel.fromPretrained(folder, { subfolder: "text_encoder", dtype: "f32" });
  assert.equal(model.packingErrors.size, 0);
});
