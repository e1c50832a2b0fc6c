import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Drawer } from "../draw/drawer.ts";
import type { Jobs } from "./jobs.ts";

const METHODS = ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"];
const SECONDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]; // bounds of the buckets

/** Numbers of a server, as Prometheus reads them. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<"method" | "route" | "status">;

  constructor(drawer: Drawer, jobs: Jobs) {
    const registers = [this.#registry];
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        ...{ name, help, registers },
        collect() {
          this.set(value());
        },
      });
    gauge("denoise_queue_waiting", "Requests that wait", () => drawer.waiting);
    gauge("denoise_event_streams", "Streams of jobs' events that are open", () => jobs.followers);
    gauge("denoise_busy", "1 while a request is drawn", () => Number(drawer.busy));
    gauge("denoise_models_loaded", "Models whose weights are on the GPU", () => drawer.loaded);
    gauge("denoise_gpu_bytes", "Bytes of buffers on the GPU", () => drawer.device.buffers.usage().bytes);
    this.#requests = new Counter({
      ...{ name: "denoise_requests_total", help: "Answers, by the pattern of their route", registers },
      labelNames: ["method", "route", "status"],
    });
    const drawings = new Counter({
      ...{ name: "denoise_drawings_total", help: "Requests to draw, by what became of them", registers },
      labelNames: ["outcome"],
    });
    const steps = new Counter({
      ...{ name: "denoise_steps_total", help: "Steps that were computed", registers },
      labelNames: ["model"],
    });
    const seconds = new Histogram({
      ...{ name: "denoise_picture_seconds", help: "Seconds that a picture took, without waiting", registers },
      ...{ labelNames: ["model"], buckets: SECONDS },
    });
    const waits = new Histogram({
      ...{ name: "denoise_wait_seconds", help: "Seconds that a request waited", registers, buckets: SECONDS },
    });
    const losses = new Counter({
      name: "denoise_device_lost_total",
      help: "Devices that were lost",
      registers,
    });
    drawer.listen((event) => {
      if (event.event === "device lost") return losses.inc();
      if (event.event !== "drawing") return;
      const { outcome, model, pictures } = event;
      drawings.inc({ outcome });
      if (model === undefined) return;
      if (event.seconds > 0) waits.observe(event.waited); // its turn came
      if (event.steps > 0) steps.inc({ model }, event.steps);
      for (let i = 0; i < pictures; i++) seconds.observe({ model }, event.seconds / pictures);
    });
  }

  /** Counts an answer; methods that a client made up are one, as each takes memory. */
  answered(given: string, route: string, status: number): void {
    const method = METHODS.includes(given) ? given : "other";
    this.#requests.inc({ method, route, status });
  }

  /** All of them as text. */
  async text(): Promise<{ type: string; text: string }> {
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }
}
