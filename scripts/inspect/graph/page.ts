import { instance } from "@viz-js/viz";
import type { GraphDump } from "../../../src/graph/dump/describe.ts";
import { graphDot } from "../../../src/graph/dump/dot.ts";
import { type Module, modulesOf } from "../../../src/graph/dump/modules.ts";
import css from "./page.css" with { type: "text" };
import client from "./page_client.js" with { type: "text" };

const MOST_FOLDED = 3; // pictures of modules as boxes, beside that of all dispatches

/**
 * Graphs as one page that needs no network: pictures by Graphviz, which zoom and pan, with modules folded at
 * several depths, a search, and all that is known of the dispatch that is clicked.
 */
export async function graphPage(dump: GraphDump, title: string): Promise<string> {
  const viz = await instance();
  const views = dump.graphs.flatMap((graph, i) => {
    const whole = depthOf(modulesOf(graph.steps));
    const depths = [...Array(Math.min(MOST_FOLDED, whole)).keys().map((n) => n + 1), Infinity];
    return depths.map((depth) => ({
      name: `${graph.label}${dump.graphs.length > 1 ? ` ${i + 1}` : ""}: ${
        depth === Infinity ? "all dispatches" : `modules to depth ${depth}`
      }`,
      svg: viz.renderString(graphDot([graph], depth), { format: "svg" }).replace(/^[^]*?(?=<svg)/, ""),
      graph: i,
    }));
  });
  const data = { graphs: dump.graphs, views: views.map(({ graph }) => graph) };
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>${css}</style>
</head>
<body>
<header>
<h1>${escaped(title)}</h1>
<select id="view" aria-label="picture">${
    views.map(({ name }, i) => `<option value="${i}">${escaped(name)}</option>`).join("")
  }</select>
<input id="search" type="search" placeholder="kernel, module or formula" aria-label="search">
<output id="found"></output>
<button id="fit" type="button">fit</button>
</header>
<main>${views.map(({ svg }, i) => `<section data-view="${i}" hidden>${svg}</section>`).join("\n")}</main>
<aside id="details"><p>Wheel: zoom. Drag: move. Click on a dispatch: what it reads, and who reads it.</p></aside>
<script id="data" type="application/json">${JSON.stringify(data).replaceAll("<", "\\u003c")}</script>
<script>${client}</script>
</body>
</html>
`;
}

function depthOf({ parts }: Module): number {
  return parts.length ? 1 + Math.max(...parts.map(depthOf)) : 0;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
