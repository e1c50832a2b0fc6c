import { provideOperators } from "../tensor/mod.ts";
import { matmul } from "./matmul.ts";
import { softmax } from "./norm/softmax.ts";

provideOperators({ matmul, softmax });
