/** A protocol by which a terminal shows pictures. */
export type PictureProtocol = "kitty" | "iterm2" | "sixel";

/** All protocols. */
export const pictureProtocols: readonly PictureProtocol[] = ["kitty", "iterm2", "sixel"];

/** By TERM_PROGRAM. WezTerm knows all three. VS Code's terminal asks its user first, so it is left out. */
const programs: Record<string, PictureProtocol> = {
  "ghostty": "kitty",
  "WarpTerminal": "kitty",
  "iTerm.app": "iterm2",
  "WezTerm": "iterm2",
  "mintty": "iterm2",
  "rio": "iterm2",
};

/** By TERM, or the part of TERM in front of its first "-". */
const terms: Record<string, PictureProtocol> = {
  "xterm-kitty": "kitty",
  "xterm-ghostty": "kitty",
  "foot": "sixel",
  "mlterm": "sixel",
  "yaft": "sixel",
};

/**
 * The terminal's protocol, by the variables that it sets: to ask it could block, and would take what the user
 * types. Undefined for other terminals, and within tmux and screen, which do not pass pictures on.
 */
export function pictureProtocol(env: (name: string) => string | undefined): PictureProtocol | undefined {
  const term = env("TERM") ?? "";
  if (env("TMUX") || env("STY") || /^(dumb|screen|tmux)/.test(term)) return undefined;
  const program = programs[env("TERM_PROGRAM") ?? ""];
  if (program) return program;
  if (env("KITTY_WINDOW_ID")) return "kitty";
  if (Number(env("KONSOLE_VERSION") ?? 0) >= 220400) return "kitty"; // first with its graphics
  if (env("LC_TERMINAL") === "iTerm2") return "iterm2"; // through ssh, too
  return terms[term] ?? terms[term.split("-")[0]!] ?? (/sixel/.test(term) ? "sixel" : undefined);
}
