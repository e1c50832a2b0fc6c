/** A queue of requests on one device, and servers over it. @module */
export {
  Drawer,
  type DrawerOptions,
  type Drawing,
  type DrawnPicture,
  type DrawOptions,
  type DrawProgress,
} from "./drawer.ts";
export type { DrawerEvent, DrawnEvent } from "./events.ts";
export { LOOPBACK } from "./guard.ts";
export { BODY, createHandler, type HandlerOptions } from "./handler.ts";
export type { LogEntry } from "./log.ts";
export type { Size } from "../command_line/options.ts";
export type { ModelOptions, Offer, Versions } from "./models.ts";
export type { ModelOffer, Offers } from "./offers.ts";
export { RefusalError, type RefusalKind } from "./refusal.ts";
export { type DrawRequest, readRequest } from "./request.ts";
export { LIMITS, type Limits } from "./task.ts";
