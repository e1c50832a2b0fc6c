import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Device } from "../../src/gpu/device.ts";

/**
 * What is to fail: an allocation, by its number from 0 or by its label, all that would take more than some bytes, or a
 * submission by its number.
 */
export interface Fault {
  allocation?: number | string;
  memory?: number;
  submission?: number;
}

/** How many allocations and submissions there were since a fault was injected. */
export interface Injected extends Disposable {
  readonly allocations: number;
  readonly submissions: number;
}

/**
 * Makes one allocation of a device fail as if the GPU had no memory left, or loses the device at one submission, until
 * what is returned is disposed. A buffer without memory is, as with real ones, invalid.
 */
export function inject(device: Device, { allocation, memory = Infinity, submission }: Fault): Injected {
  const { gpu } = device;
  const { queue } = gpu;
  const [create, pop, submit] = [gpu.createBuffer, gpu.popErrorScope, queue.submit];
  let [allocations, submissions, failed, lacking] = [0, 0, false, false];
  gpu.createBuffer = (descriptor) => {
    const isDue = !failed && [allocations++, descriptor.label].includes(allocation!);
    const isOver = device.buffers.usage().bytes + descriptor.size > memory;
    if (!isDue && !isOver) return create.call(gpu, descriptor);
    failed = lacking = true;
    gpu.pushErrorScope("validation");
    const buffer = create.call(gpu, { ...descriptor, usage: 0 });
    pop.call(gpu);
    return buffer;
  };
  gpu.popErrorScope = () => {
    const answer = pop.call(gpu);
    if (!lacking) return answer;
    lacking = false;
    return answer.then(() => ({ message: "no memory" }));
  };
  queue.submit = (commands) => {
    if (submissions++ === submission) gpu.destroy();
    submit.call(queue, commands);
  };
  return {
    get allocations() {
      return allocations;
    },
    get submissions() {
      return submissions;
    },
    [Symbol.dispose]() {
      Object.assign(gpu, { createBuffer: create, popErrorScope: pop });
      Object.assign(queue, { submit });
    },
  };
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes that a device's buffers take once what nobody holds any more was collected: what is left after turns that free nothing. */
export async function bytesHeld(device: Device): Promise<number> {
  for (let same = 0; same < 2;) {
    const { bytes } = device.buffers.usage();
    collect();
    await new Promise((resolve) => setTimeout(resolve)); // finalizers run
    same = device.buffers.usage().bytes === bytes ? same + 1 : 0;
  }
  return device.buffers.usage().bytes;
}
