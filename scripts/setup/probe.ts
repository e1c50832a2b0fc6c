/**
 * Opens a device and prints what it is; fails if none opens. A program of its own, since a driver that
 * crashes takes its process along.
 * Run: deno run -A scripts/setup/probe.ts dawn|deno
 */
import type { Engine } from "../../src/gpu/traits.ts";
import { openDevice } from "../../src/gpu/open/open.ts";

const device = await openDevice({ engine: Deno.args[0] as Engine });
console.log(device.describe());
Deno.exit();
