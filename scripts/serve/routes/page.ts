import { stripTypeScriptTypes } from "node:module";
import { Hono } from "hono";
import controlsCss from "../page/controls.css" with { type: "text" };
import dialogs from "../page/dialogs.html" with { type: "text" };
import dom from "../page/dom.ts" with { type: "text" };
import files from "../page/files.ts" with { type: "text" };
import follower from "../page/follower.ts" with { type: "text" };
import formHtml from "../page/form.html" with { type: "text" };
import form from "../page/form.ts" with { type: "text" };
import gallery from "../page/gallery.ts" with { type: "text" };
import guides from "../page/guides.ts" with { type: "text" };
import infotext from "../page/infotext.ts" with { type: "text" };
import key from "../page/key.ts" with { type: "text" };
import line from "../page/line.ts" with { type: "text" };
import main from "../page/main.ts" with { type: "text" };
import maskEditor from "../page/mask_editor.ts" with { type: "text" };
import namedList from "../page/named_list.ts" with { type: "text" };
import pageCss from "../page/page.css" with { type: "text" };
import pageHtml from "../page/page.html" with { type: "text" };
import originals from "../page/originals.ts" with { type: "text" };
import pictureIn from "../page/picture_in.ts" with { type: "text" };
import pixels from "../page/pixels.ts" with { type: "text" };
import recipe from "../page/recipe.ts" with { type: "text" };
import records from "../page/records.ts" with { type: "text" };
import references from "../page/references.ts" with { type: "text" };
import request from "../page/request.ts" with { type: "text" };
import seeds from "../page/seeds.ts" with { type: "text" };
import server from "../page/server.ts" with { type: "text" };
import sides from "../page/sides.ts" with { type: "text" };
import stage from "../page/stage.ts" with { type: "text" };
import templates from "../page/templates.html" with { type: "text" };
import waiting from "../page/waiting.ts" with { type: "text" };

const MODULES: Readonly<Record<string, string>> = {
  "dom.ts": dom,
  "files.ts": files,
  "follower.ts": follower,
  "form.ts": form,
  "gallery.ts": gallery,
  "guides.ts": guides,
  "infotext.ts": infotext,
  "key.ts": key,
  "line.ts": line,
  "main.ts": main,
  "mask_editor.ts": maskEditor,
  "named_list.ts": namedList,
  "originals.ts": originals,
  "picture_in.ts": pictureIn,
  "pixels.ts": pixels,
  "recipe.ts": recipe,
  "records.ts": records,
  "references.ts": references,
  "request.ts": request,
  "seeds.ts": seeds,
  "server.ts": server,
  "sides.ts": sides,
  "stage.ts": stage,
  "waiting.ts": waiting,
};
/** The parts of the page that stand in files of their own, by these. */
const PARTS = { "form.html": formHtml, "dialogs.html": dialogs, "templates.html": templates };
const STYLES: Readonly<Record<string, string>> = { "page.css": pageCss, "controls.css": controlsCss };

/** What the page may do: run its own files, ask its own server, and show pictures that it has itself. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src blob: data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS = {
  "Cache-Control": "no-cache",
  "Content-Security-Policy": POLICY,
  "Referrer-Policy": "no-referrer",
} as const;

/** The page at / and its files: they need no key, as they tell nothing of the server. */
export function pageRoutes(): Hono {
  const app = new Hono();
  const file = (path: string, type: string, text: string) =>
    app.get(
      path,
      (context) => context.body(text, 200, { "Content-Type": `${type}; charset=utf-8`, ...HEADERS }),
    );
  file("/", "text/html", page());
  for (const [name, css] of Object.entries(STYLES)) file(`/page/${name}`, "text/css", css);
  for (const [name, code] of Object.entries(MODULES)) {
    file(`/page/${name}`, "text/javascript", stripTypeScriptTypes(code));
  }
  return app;
}

/** The page with its parts, where comments name them. */
function page(): string {
  let html = pageHtml;
  for (const [name, part] of Object.entries(PARTS)) html = html.replace(`<!-- ${name} -->`, () => part);
  return html;
}
