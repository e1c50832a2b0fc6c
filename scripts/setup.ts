/**
 * Makes sure that a GPU adapter opens, by opening one; where none does, says what it installs, and installs
 * it. Silent when there is nothing to do.
 * Run: deno task setup
 */
import "./plain_errors.ts";
import { existsSync } from "node:fs";
import { waiting } from "../src/core/waiting.ts";
import { chosenDriver } from "../src/gpu/open/driver.ts";
import { readArguments } from "./command_line/arguments.ts";
import { advice } from "./setup/advice.ts";
import { distribution } from "./setup/distribution.ts";
import { cacheMesa, installMesa } from "./setup/mesa.ts";
import { cacheSwiftShader } from "./setup/swiftshader.ts";

readArguments(
  "scripts/setup.ts",
  "Makes sure that a GPU adapter opens; installs a driver where none does.",
  {},
);
if (await openAdapter("dawn")) Deno.exit();

const chosen = chosenDriver();
if (chosen) {
  fail(`no driver of ${chosen} opens; unset it, then run \`deno task setup\``);
}

const linux = Deno.build.os === "linux";
const apt = linux && existsSync("/usr/bin/apt-get");
const routes = [
  {
    what: "Mesa's Vulkan drivers for the system, with apt-get (55 MB)",
    fits: apt && Deno.uid() === 0,
    install: installMesa,
  },
  {
    what: "Mesa's Vulkan drivers into your cache folder, with apt-get (55 MB, 250 MB unpacked)",
    fits: apt && Deno.uid() !== 0,
    install: cacheMesa,
  },
  {
    what: "SwiftShader, a Vulkan driver for the CPU, into your cache folder, from npm (75 MB, 7 MB unpacked)",
    fits: linux && Deno.build.arch === "x86_64",
    install: cacheSwiftShader,
  },
];

for (const { what, install } of routes.filter(({ fits }) => fits)) {
  console.log(`No GPU adapter opens here, so this installs ${what} …`);
  try {
    await waiting("installing", install());
    const adapter = await openAdapter("dawn");
    if (adapter) {
      console.log(`Adapter: ${adapter}`);
      Deno.exit();
    }
    console.log("Installed, but no adapter opens with it.");
  } catch (error) {
    console.log(`That failed: ${(error as Error).message}`);
  }
}

if (!await openAdapter("deno")) { // Deno's own WebGPU needs no package, and is what Windows may be left with
  fail(`expected a driver that opens, got none; ${advice(Deno.build.os, distribution())}`);
}

/** The name of the adapter that opens in an engine, or undefined. */
async function openAdapter(engine: "dawn" | "deno"): Promise<string | undefined> {
  const args = ["run", "-A", `${import.meta.dirname}/setup/probe.ts`, engine];
  const { success, stdout } = await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).output();
  return success ? new TextDecoder().decode(stdout).trim() : undefined;
}

function fail(reason: string): never {
  console.error(`Cannot open a GPU adapter: ${reason}`);
  Deno.exit(1);
}
