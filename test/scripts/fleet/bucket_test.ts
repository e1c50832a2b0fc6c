import assert from "node:assert/strict";
import S3rver from "s3rver";
import { openResults } from "../../../scripts/fleet/results.ts";
import { freePort } from "../../support/free_port.ts";
import { refusalOf } from "../../support/files.ts";
import { inFolder } from "../../support/script.ts";

const png = new Uint8Array([137, 80, 78, 71, ...Array.from({ length: 70_000 }, (_, i) => i % 256)]);
const KEYS = { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER", AWS_REGION: "eu-north-1" };

/** Runs a test against a server that speaks as S3 does, with the environment that finds it. */
async function withServer(test: (stop: () => Promise<void>) => Promise<void>): Promise<void> {
  await inFolder(async (directory) => {
    const port = freePort();
    const buckets = [{ name: "pictures" }];
    const server = new S3rver({
      directory,
      port,
      address: "127.0.0.1",
      silent: true,
      configureBuckets: buckets,
    });
    await server.run();
    let stopped: Promise<void> | undefined;
    const stop = () => stopped ??= server.close();
    const env: Record<string, string> = { ...KEYS, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` };
    for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
    try {
      await test(stop);
    } finally {
      for (const name of Object.keys(env)) Deno.env.delete(name);
      await stop();
    }
  });
}

const options = { sanitizeResources: false, sanitizeOps: false }; // connections are kept for the next picture

Deno.test(
  "pictures are put into a bucket under their names, and found there",
  options,
  () =>
    withServer(async () => {
      const results = await openResults("s3://pictures//my cats/été 日本/");
      assert.equal(await results.has("a.png"), false);
      await results.put("a.png", png);
      await results.put("a.png", png);
      assert.equal(await results.has("a.png"), true);
      const other = await openResults("s3://pictures");
      assert.equal(await other.has("a.png"), false);
      assert.equal(await other.has("my cats/été 日本/a.png"), true);
    }),
);

Deno.test(
  "a bucket that is not there, another key and a server that is gone are told in a line",
  options,
  () =>
    withServer(async (stop) => {
      assert.match(
        await refusalOf(openResults("s3://Pictures!/x")),
        /^Cannot take --out [^\n]*: expected s3:\/\/BUCKET\/PREFIX$/,
      );
      assert.equal(
        await refusalOf(openResults("s3://cats/x")),
        "Cannot take --out s3://cats/x: no such bucket",
      );
      Deno.env.set("AWS_ACCESS_KEY_ID", "another");
      const line = await refusalOf(openResults("s3://pictures/cats"));
      assert.match(
        line,
        /^Cannot take --out s3:\/\/pictures\/cats: the store answers 403; s3:GetObject, s3:ListBucket[^\n]*$/,
      );
      assert.doesNotMatch(line, /S3RVER/);
      Deno.env.set("AWS_ACCESS_KEY_ID", "S3RVER");
      const results = await openResults("s3://pictures/cats");
      await stop();
      await assert.rejects(results.put("a.png", png), (error: Error) => {
        assert.match(error.message, /^[^\n]+$/);
        return true;
      });
    }),
);

Deno.test("a key that may look and not put is told before anything is drawn", options, async () => {
  const answer = ({ method }: Request) =>
    method === "HEAD"
      ? new Response()
      : new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403 });
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, answer);
  const env = { ...KEYS, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${server.addr.port}` };
  for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
  try {
    assert.equal(
      await refusalOf(openResults("s3://pictures/cats")),
      "Cannot take --out s3://pictures/cats: the store answers 403 AccessDenied; s3:GetObject, s3:ListBucket and " +
        "s3:PutObject must be allowed",
    );
  } finally {
    for (const name of Object.keys(env)) Deno.env.delete(name);
  }
});
