import assert from "node:assert/strict";
import { connect } from "../../../scripts/fleet/connect.ts";
import { Mark } from "../../../scripts/fleet/mark.ts";
import { PREFIX, queueName, Queues } from "../../../scripts/fleet/queues.ts";
import { RequestsFile } from "../../../scripts/fleet/requests_file.ts";
import { Roster } from "../../../scripts/fleet/roster.ts";
import { send } from "../../../scripts/fleet/submit.ts";
import { waitFor } from "../../../scripts/fleet/wait.ts";
import { queueProgram, QueueServer } from "../../support/queue_server.ts";
import { inFolder } from "../../support/script.ts";

const SECONDS = 2.5; // within which what was done is seen; looks come each second

Deno.test({
  name: "whoever waits for requests looks each second again as soon as a server that was away answers",
  ignore: !queueProgram,
  fn: () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start("--appendfsync", "always");
      const back = Promise.withResolvers<void>();
      const onNotice = (line: string) => void (/ answers again$/.test(line) && back.resolve());
      const client = await connect(server.url(), { onNotice });
      using _connection = { [Symbol.dispose]: () => client.disconnect() };
      await using queues = new Queues(client);
      await using mark = await Mark.set(client);
      await Deno.writeTextFile(`${folder}/requests.jsonl`, '{"seed": 1}\n{"seed": 2}\n');
      await using file = await RequestsFile.open(`${folder}/requests.jsonl`);
      const sender = { file, model: "rose", queues, priority: 1 };
      const { tickets } = await send(sender);
      const waiting = waitFor(tickets, sender, { roster: new Roster(client), mark });
      await pause(1500);
      await server.kill();
      await pause(1500);
      await server.start();
      await back.promise;
      await pause(200);
      for (const { name } of tickets) await client.del(`${PREFIX}:${queueName("rose")}:${name}`); // as of those that are done
      const start = performance.now();
      assert.deepEqual(await waiting, []);
      const seconds = (performance.now() - start) / 1000;
      assert.ok(seconds < SECONDS, `${seconds} s`);
    }),
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
