import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { RefusalKind } from "../request/refusal.ts";

const STATUS: Readonly<Record<RefusalKind, ContentfulStatusCode>> = {
  "invalid": 400,
  "too large": 413,
  "too slow": 408,
  "unauthorized": 401,
  "forbidden": 403,
  "no memory": 400,
  "not found": 404,
  "wrong method": 405,
  "busy": 429,
  "too many": 429,
  "stopping": 503,
  "timeout": 504,
  "failed": 500,
};

/** The status with which a refusal is answered, where an API has no other. */
export function statusOf(kind: RefusalKind): ContentfulStatusCode {
  return STATUS[kind];
}
