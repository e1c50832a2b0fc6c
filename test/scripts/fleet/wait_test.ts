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
import { until } from "../../support/until.ts";

const AWAY = 1000; // ms for which a look waits for the server

Deno.test({
  name: "whoever waits for requests looks as often as before once a server that was away answers",
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
      using pauses = new Pauses();
      const waiting = waitFor(tickets, sender, { roster: new Roster(client), mark });
      await until(() => pauses.ms.length > 2);
      await server.kill();
      await until(() => !pauses.isPausing); // it looks, until the server is back
      await new Promise((resolve) => setTimeout(resolve, AWAY));
      await server.start();
      await back.promise;
      const count = pauses.ms.length;
      await until(() => pauses.ms.length > count);
      for (const { name } of tickets) await client.del(`${PREFIX}:${queueName("rose")}:${name}`); // as of those that are done
      assert.deepEqual(await waiting, []);
      assert.ok(pauses.ms.every((ms) => ms < 4 * AWAY), `${pauses.ms}`);
    }),
});

/** Notes how long waitFor pauses between its looks, and makes these pauses short, until disposed of. */
class Pauses implements Disposable {
  readonly ms: number[] = [];
  isPausing = false;
  readonly #setTimeout = globalThis.setTimeout;

  constructor() {
    const set = this.#setTimeout;
    const noting = (handler: () => void, ms?: number) => {
      if (!/fleet\/wait\.ts/.test(new Error().stack!)) return set(handler, ms);
      this.ms.push(ms!);
      this.isPausing = true;
      return set(() => {
        this.isPausing = false;
        handler();
      }, 20);
    };
    globalThis.setTimeout = noting as typeof set;
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
  }
}
