import type { Device } from "../../src/gpu/device.ts";

/** What is to fail: an allocation, by its number from 0 or by its label, or a submission by its number. */
export interface Fault {
  allocation?: number | string;
  submission?: number;
}

/** How many allocations and submissions there were. */
export interface Counted {
  allocations: number;
  submissions: number;
  /** Whether the fault happened. */
  failed: boolean;
}

/**
 * Makes one allocation of a device fail as if the GPU had no memory left, or loses the device at one submission. Both
 * are the engine's own faults: a buffer of more bytes than any adapter has, and a device that was destroyed.
 */
export function inject(device: Device, { allocation, submission }: Fault): Counted {
  const { gpu } = device;
  const counted: Counted = { allocations: 0, submissions: 0, failed: false };
  const pop = gpu.popErrorScope.bind(gpu);
  const create = gpu.createBuffer.bind(gpu);
  let lacking = false;
  gpu.createBuffer = (descriptor) => {
    const number = counted.allocations++;
    if (counted.failed || ![number, descriptor.label].includes(allocation)) return create(descriptor);
    lacking = counted.failed = true;
    gpu.pushErrorScope("validation");
    const buffer = create({ ...descriptor, usage: 0 }); // an invalid buffer, as after a lack of memory
    pop();
    return buffer;
  };
  gpu.popErrorScope = () => {
    const answer = pop();
    if (!lacking) return answer;
    lacking = false;
    return answer.then(() => ({ message: "injected" }) as GPUError);
  };
  const submit = gpu.queue.submit.bind(gpu.queue);
  gpu.queue.submit = (commands) => {
    if (counted.submissions++ === submission) {
      counted.failed = true;
      gpu.destroy();
    }
    return submit(commands);
  };
  return counted;
}
