import { CHECK_NETWORK, PassingError } from "./retry.ts";

/** A cause, known by words of the error, with advice and how long it lasts (see PassingError). */
interface Cause {
  readonly mark: RegExp;
  readonly advice: string;
  readonly lasts?: "always" | "unreached";
}

/** Words of Deno's errors; the first row that fits counts. */
const CAUSES: readonly Cause[] = [
  {
    mark: /certificate.*(expired|not valid (before|after|until)|notvalidyet)/i,
    advice: "check the clock of this machine, or tell who runs the server",
    lasts: "always",
  },
  {
    mark: /certificate.*not ?valid ?for ?name/i,
    advice: "check HF_ENDPOINT; something else may answer in its place, such as a proxy or a sign-in page",
    lasts: "always",
  },
  {
    mark: /certificate/i,
    advice: "set DENO_TLS_CA_STORE=system, or DENO_CERT to the file of the certificate that signs here, as " +
      "companies' proxies have one",
    lasts: "always",
  },
  {
    mark: /proxy authentication/i,
    advice: "put the proxy's user and password into HTTPS_PROXY, as http://user:password@host:port",
    lasts: "always",
  },
  {
    mark: /tunnel/i,
    advice: "the proxy does not let it pass: check HTTPS_PROXY, or name the host in NO_PROXY",
    lasts: "always",
  },
  {
    mark: /corrupt message|InvalidContentType|HandshakeFailure|invalid HTTP|port \d+ are blocked/i,
    advice: "check HF_ENDPOINT: its port, and whether it is http or https",
    lasts: "always",
  },
  {
    mark: /dns error|lookup/i,
    advice: "check the network, and the name in HF_ENDPOINT",
    lasts: "unreached",
  },
  { mark: /refused|unreachable|no route/i, advice: CHECK_NETWORK, lasts: "unreached" },
  { mark: /timed out|timeout/i, advice: "check the network, or set HF_HUB_DOWNLOAD_TIMEOUT to more seconds" },
];

/** The error to throw for one of fetch() or of a body, with advice; an abort is returned as it is. */
export function networkError(error: unknown, url: URL): unknown {
  if (error instanceof Deno.errors.NotCapable) {
    const advice = `add ${url.hostname} to --allow-net, or set HF_HUB_OFFLINE=1`;
    const message = `Deno may not connect to ${url.host}`;
    return new PassingError(message, { cause: error, advice, lasts: "always" });
  }
  if (!(error instanceof TypeError)) return error;
  const reason = reasonOf(error);
  const { advice = CHECK_NETWORK, lasts } = CAUSES.find(({ mark }) => mark.test(reason)) ?? {};
  const proxy = lasts === "unreached" ? proxyOf(url) : undefined;
  return new PassingError(`no connection to ${url.host}${proxy ? " by the proxy" : ""} (${reason})`, {
    cause: error,
    advice: proxy ? `${advice}, and the proxy in ${proxy}` : advice,
    lasts,
  });
}

/** The innermost cause, without the address that the line names already. */
function reasonOf(error: Error): string {
  let inner = error;
  while (inner.cause instanceof Error) inner = inner.cause;
  return inner.message.replace(/^error sending request .*?client error \(\w+\): /, "").split("\n")[0]!;
}

/** The variable that names the proxy for an address, as fetch() reads it; its value may hold a password. */
function proxyOf({ protocol, hostname }: URL): string | undefined {
  const names = [...protocol === "https:" ? ["HTTPS_PROXY"] : ["HTTP_PROXY"], "ALL_PROXY"];
  const read = (name: string) => {
    try {
      return Deno.env.get(name) || Deno.env.get(name.toLowerCase());
    } catch {
      return undefined; // Deno may not read it
    }
  };
  const direct = (read("NO_PROXY") ?? "").split(",").map((host) => host.trim().replace(/^\*?\./, ""));
  if (direct.some((host) => host === "*" || (host && `.${hostname}`.endsWith(`.${host}`)))) return undefined;
  return names.find(read);
}
