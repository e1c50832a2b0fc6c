/**
 * Imported by scripts, in front of all else: an error that nobody caught ends the script with its message alone and
 * exit code 1, or the one that the script set before, and so does a Deno that is too old.
 */
import { ignoringErrors } from "../src/core/shown.ts";
import { expectRuntime } from "../src/gpu/open/runtime.ts";

const { warn, error: showError } = console;
console.warn = (...words) => ignoringErrors(() => warn(...words)); // to a full disk they throw
console.error = (...words) => ignoringErrors(() => showError(...words));

function end(event: Event, error: unknown): void {
  event.preventDefault();
  while (error instanceof SuppressedError) error = error.suppressed; // the first, not what giving back then met
  console.error(error instanceof Error ? plainMessage(error) : error);
  Deno.exit(Deno.exitCode || 1);
}

/** The message of an error; parseArgs' takes several lines, which become one. */
function plainMessage(error: Error & { code?: unknown }): string {
  return String(error.code).startsWith("ERR_PARSE_ARGS")
    ? error.message.replaceAll("\n", " ")
    : error.message;
}

addEventListener("unhandledrejection", (event) => end(event, event.reason));
addEventListener("error", (event) => end(event, event.error));

expectRuntime();
