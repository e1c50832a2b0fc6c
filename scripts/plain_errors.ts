/** Imported by scripts: an error that nobody caught ends the script with its message alone, and exit code 1. */
function end(event: Event, error: unknown): void {
  event.preventDefault();
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}

addEventListener("unhandledrejection", (event) => end(event, event.reason));
addEventListener("error", (event) => end(event, event.error));
