import { stripTypeScriptTypes } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import css from "./page/page.css" with { type: "text" };
import html from "./page/page.html" with { type: "text" };
import type { Report } from "./page/report.ts";

/** A profile, perhaps beside an earlier one, as a file of HTML that needs nothing else. */
export async function htmlOf(report: Report): Promise<string> {
  const d3 = join(dirname(fileURLToPath(import.meta.resolve("d3"))), "d3.min.js");
  const data = JSON.stringify(report).replaceAll("<", "\\u003c"); // else a name could end the script
  const scripts = [
    `<script type="application/json" id="report">${data}</script>`,
    scriptOf("<script>", await Deno.readTextFile(d3)),
    scriptOf(`<script type="module">`, await bundle(join(import.meta.dirname!, "page/main.ts"))),
  ];
  return html.replace("<style></style>", () => `<style>\n${css}</style>`)
    .replace("</body>", () => `${scripts.join("\n")}\n</body>`);
}

function scriptOf(tag: string, code: string): string {
  if (/<\/script|<!--/i.test(code)) {
    throw new Error("Cannot write a report: a script of its page would end early");
  }
  return `${tag}\n${code}\n</script>`;
}

/**
 * A file and the files that it imports as one script without types, each behind those that it needs and in a
 * function of its own. Imports are of names in braces; packages are left out, as the page has d3 as a global.
 */
export async function bundle(entry: string): Promise<string> {
  const root = dirname(entry);
  const scopes = new Map<string, string>();
  const visit = async (file: string) => {
    if (scopes.has(file)) return;
    scopes.set(file, ""); // on its way
    const code = stripTypeScriptTypes(await Deno.readTextFile(file));
    const own = (path: string) => join(dirname(file), path);
    for (const [, , path] of code.matchAll(IMPORT)) if (path!.startsWith(".")) await visit(own(path!));
    const names = [...code.matchAll(EXPORT)].map(([, name]) => name);
    const body = code.replaceAll(
      IMPORT,
      (_, names: string, path: string) =>
        path.startsWith(".")
          ? `const ${names.replaceAll(/\bas\b/g, ":")} = files[${nameOf(own(path))}];`
          : "",
    )
      .replaceAll(EXPORT, (line) => line.replace("export ", ""));
    scopes.delete(file);
    scopes.set(
      file,
      `files[${nameOf(file)}] = (() => {\n${body.trim()}\nreturn { ${names.join(", ")} };\n})();`,
    );
  };
  const nameOf = (file: string) => JSON.stringify(relative(root, file));
  await visit(entry);
  return ["const files = {};", ...scopes.values()].join("\n\n");
}

const IMPORT = /^import\b([^;"]*)\bfrom\s*"([^"]+)";/gm;
const EXPORT = /^export (?:async )?(?:function|class|const) (\w+)/gm;
