/**
 * Runs Deno on the newest Mesa, whose software adapter has matrix units (8 × 8 × 8), so that their kernels compute here.
 * Run: deno task mesa-next test -A test/ops/gemm/matrix_test.ts
 */
import "../../scripts/plain_errors.ts";
import { denoOnMesaNext } from "./mesa.ts";

const { command, args, env } = await denoOnMesaNext();
const { code } = await new Deno.Command(command, { args: [...args, ...Deno.args], env }).spawn().status;
Deno.exit(code);
