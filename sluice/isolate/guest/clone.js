// Values as JSON text and back: what JS RPC carries between isolates of different processes.
//
// The text is an array of nodes, the first being the value. A node is a string, a finite number, a
// boolean or null; or [tag, ...], whose members are numbers of other nodes where it says `at` below.
// So shared and circular references stay what they are, and no depth is too deep.
//
// The values are those that workerd's own RPC clones, and the refusals are in its words.
// https://developers.cloudflare.com/workers/runtime-apis/rpc/#structured-clonable-types-and-more
const MAX_LENGTH = 32 * 1024 * 1024;
const HOLE = -1;
const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
const VIEWS = Object.fromEntries(
  [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    Float32Array, Float64Array, BigInt64Array, BigUint64Array, DataView].map((type) => [type.name, type]),
);

const refuse = (message) => {
  throw new DOMException(message, "DataCloneError");
};

const isPlain = (value) => Object.getPrototypeOf(value) === Object.prototype;

/** The node of an object. `at` gives the number of the node of a value that it holds. */
function nodeOfObject(value, at) {
  if (Array.isArray(value)) {
    return ["array", ...Array.from(value, (_, index) => (index in value ? at(value[index]) : HOLE))];
  }
  if (isPlain(value)) {
    return ["object", ...Object.entries(value).flatMap(([key, member]) => [key, at(member)])];
  }
  if (value instanceof Map) return ["map", ...[...value].flat().map(at)];
  if (value instanceof Set) return ["set", ...[...value].map(at)];
  if (value instanceof Date) return ["date", value.getTime()];
  if (value instanceof RegExp) return ["regexp", value.source, value.flags];
  if (value instanceof Error) {
    return ["error", value.name in ERRORS ? value.name : "Error", String(value.message)];
  }
  if (value instanceof ArrayBuffer) return ["buffer", new Uint8Array(value).toBase64()];
  if (ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer) {
    const length = value instanceof DataView ? value.byteLength : value.length;
    const type = Object.keys(VIEWS).find((name) => value instanceof VIEWS[name]);
    return ["view", type, at(value.buffer), value.byteOffset, length];
  }
  return refuse(
    `Could not serialize object of type "${value.constructor?.name ?? "Object"}". ` +
      "This type is not carried over RPC to or from a dispatched Worker.",
  );
}

function nodeOf(value, at) {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Object.is(value, -0)) return ["number", "-0"];
      return Number.isFinite(value) ? value : ["number", String(value)];
    case "undefined":
      return ["undefined"];
    case "bigint":
      return ["bigint", String(value)];
    case "object":
      return value === null ? null : nodeOfObject(value, at);
    default:
      return refuse(
        `Could not serialize a ${typeof value}: it is not carried over RPC to or from a dispatched Worker.`,
      );
  }
}

/** JSON text of `value`. Throws a DataCloneError that names what cannot be carried. */
export function encode(value) {
  const values = [];
  const numbers = new Map(); // of objects: a primitive has no identity to keep
  const at = (member) => {
    const known = numbers.get(member);
    if (known !== undefined) return known;
    const number = values.push(member) - 1;
    if (typeof member === "object" && member !== null) numbers.set(member, number);
    return number;
  };
  at(value);
  const nodes = [];
  // at() adds to the list while it is being walked.
  for (const member of values) nodes.push(nodeOf(member, at));
  const text = JSON.stringify(nodes);
  if (text.length > MAX_LENGTH) {
    throw new Error(
      "Serialized RPC arguments or return values are limited to 32MiB, " +
        `but the size of this value was: ${text.length} bytes.`,
    );
  }
  return text;
}

/** What a node makes before it holds others, and how it comes to hold them once all are made. */
const MAKERS = {
  undefined: () => undefined,
  number: ([text]) => Number(text),
  bigint: ([text]) => BigInt(text),
  date: ([time]) => new Date(time ?? NaN),
  regexp: ([source, flags]) => new RegExp(source, flags),
  error: ([name, message]) => new (ERRORS[name] ?? Error)(message),
  buffer: ([text]) => Uint8Array.fromBase64(text).buffer,
  array: (members) => new Array(members.length),
  object: () => ({}),
  map: () => new Map(),
  set: () => new Set(),
};

const FILLERS = {
  array: (array, members, made) =>
    members.forEach((number, index) => number === HOLE || (array[index] = made[number])),
  object: (object, members, made) => {
    for (let i = 0; i < members.length; i += 2) {
      // Not an assignment: the key may be __proto__.
      const property = { writable: true, enumerable: true, configurable: true };
      Object.defineProperty(object, members[i], { value: made[members[i + 1]], ...property });
    }
  },
  map: (map, members, made) => {
    for (let i = 0; i < members.length; i += 2) map.set(made[members[i]], made[members[i + 1]]);
  },
  set: (set, members, made) => members.forEach((number) => set.add(made[number])),
};

/** The value of a text that encode() wrote. */
export function decode(text) {
  const nodes = JSON.parse(text);
  const made = nodes.map((node) => {
    if (!Array.isArray(node)) return node;
    const [tag, ...members] = node;
    return tag === "view" ? node : MAKERS[tag](members);
  });
  // A view needs its buffer; nothing needs a view until it is filled.
  nodes.forEach((node, number) => {
    if (node?.[0] !== "view" || !Array.isArray(node)) return;
    const [, type, buffer, offset, length] = node;
    made[number] = new VIEWS[type](made[buffer], offset, length);
  });
  nodes.forEach((node, number) => {
    if (Array.isArray(node)) FILLERS[node[0]]?.(made[number], node.slice(1), made);
  });
  return made[0];
}
