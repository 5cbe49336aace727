// Node's msgpack reads one file and writes what it read into another.
//
//     node again.mjs MODULES IN OUT
//
// MODULES is the folder that has node_modules. Integers of 64 bits are BigInt. Extensions stay a type and bytes,
// timestamps too: a Date has no nanoseconds.
import {readFileSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";

const [modules, from, to] = process.argv.slice(2);
const {ExtData, ExtensionCodec, decode, encode} = createRequire(modules + "/")("@msgpack/msgpack");

class PlainCodec extends ExtensionCodec {
    tryToEncode(object) {
        return object instanceof ExtData ? object : null;
    }

    decode(data, type) {
        return new ExtData(type, data);
    }
}

const options = {extensionCodec: new PlainCodec(), useBigInt64: true};
writeFileSync(to, encode(decode(readFileSync(from), options), options));
