import {
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";

const TIMES = { connectionTimeout: 5000, socketTimeout: 20_000 }; // ms to be connected, and without a byte of an answer
const PROBE = ".denoise"; // an object that is put first, as not all who may look may put

/**
 * A bucket of S3 or of a store that speaks as it does. Keys, region and address come from where Amazon's own tools have them:
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3, ~/.aws, the machine's role.
 */
export class Bucket {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  private constructor(client: S3Client, bucket: string, prefix: string) {
    this.#client = client;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  /** Opens `s3://BUCKET/PREFIX`, and puts a small object there. Throws in one line where there is none, or where it may not. */
  static async open(place: string): Promise<Bucket> {
    const [, bucket, prefix = ""] = /^s3:\/\/([a-z0-9][a-z0-9.-]{2,62})(?:\/(.*))?$/.exec(place) ?? [];
    if (bucket === undefined) throw new TypeError(`Cannot take --out ${place}: expected s3://BUCKET/PREFIX`);
    const ownAddress = Deno.env.get("AWS_ENDPOINT_URL_S3") ?? Deno.env.get("AWS_ENDPOINT_URL");
    const client = new S3Client({
      ...ownAddress ? { endpoint: ownAddress, forcePathStyle: true } : {},
      requestChecksumCalculation: "WHEN_REQUIRED", // stores other than Amazon's may not know the newer ones
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: TIMES, // else it waits for ever for a store that is silent
    });
    const folder = prefix.replace(/^\/+|\/+$/g, "");
    const opened = new Bucket(client, bucket, folder === "" ? "" : `${folder}/`);
    try {
      await client.send(new HeadBucketCommand({ Bucket: bucket }));
      await client.send(new PutObjectCommand({ ...opened.#object(PROBE), Body: "pictures of Denoise\n" }));
    } catch (cause) {
      throw new Error(`Cannot take --out ${place}: ${told(cause).message.split("\n")[0]}`, { cause });
    }
    return opened;
  }

  async has(file: string): Promise<boolean> {
    try {
      await this.#client.send(new HeadObjectCommand(this.#object(file)));
      return true;
    } catch (error) {
      if (error instanceof S3ServiceException && error.name === "NotFound") return false;
      throw told(error);
    }
  }

  async put(file: string, png: Uint8Array): Promise<void> {
    try {
      await this.#client.send(
        new PutObjectCommand({ ...this.#object(file), Body: png, ContentType: "image/png" }),
      );
    } catch (error) {
      throw told(error);
    }
  }

  #object(file: string) {
    return { Bucket: this.#bucket, Key: `${this.#prefix}${file}` };
  }
}

/** An answer of the store in words. */
function told(error: unknown): Error {
  const { name: kind } = error as Error;
  if (kind === "TimeoutError") return new Error("the store does not answer", { cause: error });
  if (!(error instanceof S3ServiceException)) return error as Error;
  const status = error.$metadata.httpStatusCode;
  if (status === 404) return new Error("no such bucket", { cause: error });
  const advice = status === 403 ? "; s3:GetObject, s3:ListBucket and s3:PutObject must be allowed" : "";
  const name = error.name === "Unknown" ? "" : ` ${error.name}`; // of an answer without a body
  return new Error(`the store answers ${status}${name}${advice}`, { cause: error });
}
