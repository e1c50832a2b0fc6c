/** A Linux distribution as /etc/os-release names it. */
export interface Distribution {
  /** Its id, then those of the distributions it derives from. */
  ids: string[];
  codename: string;
}

/** The distribution of this machine; nameless where there is no /etc/os-release. */
export function distribution(): Distribution {
  try {
    return parseDistribution(Deno.readTextFileSync("/etc/os-release"));
  } catch {
    return { ids: [], codename: "" };
  }
}

/** Reads the text of an os-release file (shell assignments, quoted or not). */
export function parseDistribution(text: string): Distribution {
  const value = (name: string) => new RegExp(`^${name}="?([^"\\n]*)`, "m").exec(text)?.[1] ?? "";
  return { ids: `${value("ID")} ${value("ID_LIKE")}`.trim().split(" "), codename: value("VERSION_CODENAME") };
}
