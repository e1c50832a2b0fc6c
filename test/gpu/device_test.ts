import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import { ones, tensor, zeros } from "../../src/tensor/mod.ts";
import { testOnBothEngines } from "../support/engines.ts";

testOnBothEngines("a device describes itself in one line", (device) => {
  assert.match(device.describe(), /^(Dawn|Deno's WebGPU) on .+, f32( and f16)?$/);
  assert.equal(device.traits.f16, device.gpu.features.has("shader-f16"));
  return Promise.resolve();
});

testOnBothEngines("a buffer beyond the adapter's limit is refused before it is made", async (device) => {
  const before = device.buffers.usage().count;
  const most = device.limits.maxBufferSize;
  assert.throws(() => device.buffers.create("weights", most + 1, GPUBufferUsage.STORAGE), {
    name: "RangeError",
    message: new RegExp(
      `^Cannot allocate weights: expected at most ${most} bytes in a buffer of .+, got \\d+; use a smaller`,
    ),
  });
  const binding = device.limits.maxStorageBufferBindingSize;
  await assert.rejects(ones([1]).expand([Math.floor(binding / 4) + 1]).mul(2).data(), {
    name: "RangeError",
    message: new RegExp(
      `^Cannot allocate pointwise: expected at most ${binding} bytes in one tensor on .+, got \\d+; use a`,
    ),
  });
  assert.ok(device.buffers.usage().count <= before + 2); // the one element, and the loop's uniforms
  assert.deepEqual([...await zeros([2]).add(1).data()], [1, 1]);
});

testOnBothEngines("a command that the GPU refuses fails the next operation, once", async (device) => {
  const x = tensor([1, 2]);
  await x.add(1).data();
  device.gpu.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
  await assert.rejects(async () => await x.add(2).data(), {
    name: "GPUCommandError",
    message: /^Cannot run on .+: refused command: [^\n]+$/,
  });
  assert.deepEqual([...await x.add(2).data()], [3, 4]);
});

testOnBothEngines("a closed device says so, and closing it again does nothing", async (device) => {
  const x = tensor([1, 2]);
  const y = x.add(1);
  device[Symbol.dispose]();
  device[Symbol.dispose]();
  assert.deepEqual(device.buffers.usage(), { ...device.buffers.usage(), count: 0, bytes: 0 });
  const closed = /^DeviceLostError: Cannot use the device: it was closed; open a new one$/;
  assert.throws(() => x.add(1), closed);
  await assert.rejects(x.data(), closed);
  await assert.rejects(y.data(), closed);
  await assert.rejects(device.idle(), closed);
  assert.throws(() => tensor([1]), /^Error: Cannot make a tensor: no device is open/);
});

testOnBothEngines("closing one of several devices leaves the one before it current", async (first) => {
  const second = await openDevice({ engine: first.engine });
  const third = await openDevice({ engine: first.engine });
  assert.equal(tensor([1]).device, third);
  second[Symbol.dispose]();
  assert.equal(tensor([1]).device, third);
  third[Symbol.dispose]();
  assert.equal(tensor([1]).device, first);
  assert.deepEqual([...await tensor([1]).add(1).data()], [2]);
});

testOnBothEngines(
  "a lost device fails what waits and what comes, and another opens in the same process",
  async (device) => {
    const x = tensor([1, 2, 3]);
    await x.add(1).data();
    const waiting = x.mul(2).data();
    device.gpu.destroy();
    await waiting.catch((error: Error) => assert.equal(error.name, "DeviceLostError", error.message));
    const lost =
      /^DeviceLostError: Cannot go on: the device .+ was lost \(.+\) while reading back; open a new one$/;
    await assert.rejects(async () => await x.add(2).data(), lost);
    await assert.rejects(async () => await tensor([1]).data(), lost);
    using _next = await openDevice({ engine: device.engine });
    assert.deepEqual([...await tensor([1, 2, 3]).add(1).data()], [2, 3, 4]);
  },
);

Deno.test("a lost device whose adapter is gone says so where it is to be opened again", async () => {
  using device = await openDevice({ engine: "deno" });
  const { gpu } = navigator;
  const { requestAdapter } = gpu;
  device.gpu.destroy();
  gpu.requestAdapter = () => Promise.resolve(null);
  try {
    await assert.rejects(
      device.reopen(),
      /^NoAdapterError: Cannot open .+ again: no adapter; start the program anew$/,
    );
  } finally {
    gpu.requestAdapter = requestAdapter;
  }
  await device.reopen();
  assert.deepEqual([...await tensor([1, 2]).add(1).data()], [2, 3]);
});

testOnBothEngines("a device opened again has the limits of its own", async (device) => {
  const { gpu, limits } = device;
  gpu.destroy();
  await device.reopen();
  assert.notEqual(device.gpu, gpu);
  assert.notEqual(device.limits, limits);
  assert.deepEqual(numbersOf(device.limits), numbersOf(device.gpu.limits));
  assert.deepEqual([...await tensor([1, 2]).add(1).data()], [2, 3]);
});

Deno.test("a device is not opened again on another adapter, or on one that does less", async () => {
  using device = await openDevice({ engine: "deno" });
  const { gpu } = navigator;
  const { requestAdapter } = gpu;
  const opened: GPUDevice[] = [];
  /** Makes the next device lie about its limits and features, and its adapter about its name. */
  const pretend = (limits: Record<string, number>, info: Record<string, string> = {}, without?: string) => {
    gpu.requestAdapter = async (options) => {
      const adapter = (await requestAdapter.call(gpu, options))!;
      return overlaid(adapter, {
        info: overlaid(adapter.info, info),
        requestDevice: async (wanted: GPUDeviceDescriptor) => {
          const own = await adapter.requestDevice(wanted);
          opened.push(own);
          const features = new Set([...own.features].filter((feature) => feature !== without));
          return overlaid(own, { limits: overlaid(own.limits, limits), features });
        },
      });
    };
  };
  const x = tensor([1, 2]);
  await x.add(1).data();
  const refused = (why: string) =>
    assert.rejects(device.reopen(), {
      name: "NoAdapterError",
      message: new RegExp(`^Cannot open .+ again: ${why}; start the program anew$`),
    });
  const { maxBufferSize } = device.limits;
  try {
    pretend({ maxBufferSize: maxBufferSize / 2 });
    await refused(`expected maxBufferSize of at least ${maxBufferSize}, got ${maxBufferSize / 2}`);
    pretend({ minStorageBufferOffsetAlignment: 512 });
    await refused("expected minStorageBufferOffsetAlignment of at most \\d+, got 512");
    pretend({}, { device: "another" });
    await refused("expected the same adapter, got .*another.*");
    if (device.traits.f16) {
      pretend({}, {}, "shader-f16");
      await refused("expected f16 true, got false");
    }
    for (const own of opened) assert.equal((await own.lost).reason, "destroyed");
    pretend({ maxBufferSize: maxBufferSize * 2 });
    assert.deepEqual([...await x.add(1).data()], [2, 3]); // refusals leave the device as it was
    await device.reopen();
    assert.equal(device.limits.maxBufferSize, maxBufferSize * 2);
  } finally {
    gpu.requestAdapter = requestAdapter;
  }
});

/** An object of WebGPU with some of its properties replaced. */
function overlaid<T extends object>(base: T, own: Record<string, unknown>): T {
  return new Proxy(base, {
    get: (target, key) => {
      if (key in own) return own[key as string];
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function numbersOf(limits: GPUSupportedLimits): Record<string, unknown> {
  const numbers: Record<string, unknown> = {};
  for (const name in limits) numbers[name] = limits[name as keyof GPUSupportedLimits];
  return numbers;
}

testOnBothEngines("buffers count what lives, and give it back", async (device) => {
  const before = device.buffers.usage();
  const storage = device.buffers.allocate("test", 1000);
  assert.equal(device.buffers.usage().bytes - before.bytes, 1008);
  storage.release();
  storage.release();
  const after = device.buffers.usage();
  assert.deepEqual([after.count, after.bytes], [before.count, before.bytes]);
  assert.ok(after.peak >= before.bytes + 1008);
  await device.idle();
});
