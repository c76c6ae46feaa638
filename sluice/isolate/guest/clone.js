// Values as JSON text and back: what JS RPC carries between isolates of different processes.
//
// The text is an array of nodes, the first being the value. A node is a string, a finite number, a
// boolean or null; or [tag, ...], whose members are numbers of other nodes where it says `at` below.
// So shared and circular references stay what they are, and no depth is too deep.
//
// The far side may be hostile, and what is read here may be in a dispatch Worker, which is everybody's:
// a text that encode() did not write is refused, and nothing in it names what an object inherits.
//
// The values are those that workerd's own RPC clones, and the refusals are in its words.
// https://developers.cloudflare.com/workers/runtime-apis/rpc/#structured-clonable-types-and-more
const MAX_LENGTH = 32 * 1024 * 1024;
const MAX_VALUES = 250_000; // JSON values; so many empty maps are 16 MB
const HOLE = -1;
const byName = (...types) => new Map(types.map((type) => [type.name, type]));
const ERRORS = byName(
  Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
);
const VIEWS = byName(
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    Float32Array, Float64Array, BigInt64Array, BigUint64Array, DataView,
);

const refuse = (message) => {
  throw new DOMException(message, "DataCloneError");
};

const malformed = () => {
  throw new TypeError("RPC: what the far side sent is no serialized value.");
};

/** Throws for a text that is longer than a serialized value may be. */
export function checkLength(length) {
  if (length > MAX_LENGTH) {
    throw new Error(
      "Serialized RPC arguments or return values are limited to 32MiB, " +
        `but the size of this value was: ${length} bytes.`,
    );
  }
}

/** Where the string that begins at `start` ends. */
function endOfString(text, start) {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

/**
 * Throws for a text of too many JSON values, before anything is made of it: a few bytes of text may
 * be a hundred in memory, and the memory is everybody's.
 */
function checkValues(text) {
  if (text.length < MAX_VALUES) return;
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') i = endOfString(text, i);
    else if ((c === "," || c === "[" || c === "{") && ++count > MAX_VALUES) {
      throw new Error(
        `Serialized RPC arguments or return values are limited to ${MAX_VALUES} values.`,
      );
    }
  }
}

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
    return ["error", ERRORS.has(value.name) ? value.name : "Error", String(value.message)];
  }
  if (value instanceof ArrayBuffer) return ["buffer", new Uint8Array(value).toBase64()];
  if (ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer) {
    const length = value instanceof DataView ? value.byteLength : value.length;
    const [type] = [...VIEWS].find(([, view]) => value instanceof view);
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
      return ["bigint", value.toString(16)];
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
  checkLength(text.length);
  return text;
}

/** What a node makes before it holds others, and how it comes to hold them once all are made. */
const MAKERS = new Map(
  Object.entries({
    undefined: () => undefined,
    number: ([text]) => Number(text),
    // In base 16, which is read in linear time: one in base 10 may take its reader seconds.
    bigint: ([text]) =>
      text.startsWith("-") ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`),
    date: ([time]) => new Date(time ?? NaN),
    regexp: ([source, flags]) => new RegExp(source, flags),
    error: ([name, message]) => new (ERRORS.get(name) ?? Error)(message),
    buffer: ([text]) => Uint8Array.fromBase64(text).buffer,
    view: () => undefined,
    array: (members) => new Array(members.length),
    object: () => ({}),
    map: () => new Map(),
    set: () => new Set(),
  }),
);

const FILLERS = new Map(
  Object.entries({
    array: (array, members, at) =>
      members.forEach((number, index) => number === HOLE || (array[index] = at(number))),
    object: (object, members, at) => {
      for (let i = 0; i < members.length; i += 2) {
        if (typeof members[i] !== "string") malformed();
        // Not an assignment: the key may be __proto__.
        const property = { writable: true, enumerable: true, configurable: true };
        Object.defineProperty(object, members[i], { value: at(members[i + 1]), ...property });
      }
    },
    map: (map, members, at) => {
      for (let i = 0; i < members.length; i += 2) map.set(at(members[i]), at(members[i + 1]));
    },
    set: (set, members, at) => members.forEach((number) => set.add(at(number))),
  }),
);

function make(node) {
  if (!Array.isArray(node)) return typeof node === "object" && node !== null ? malformed() : node;
  const [tag, ...members] = node;
  return (MAKERS.get(tag) ?? malformed)(members);
}

/** A view of a buffer. Of anything else it would be a copy, and of a number as large as that says. */
function viewOf([, type, number, offset, length], at) {
  const buffer = at(number);
  const view = VIEWS.get(type);
  return view && buffer instanceof ArrayBuffer ? new view(buffer, offset, length) : malformed();
}

/** The value of a text that encode() wrote. Throws for any other. */
export function decode(text) {
  checkValues(text);
  const nodes = JSON.parse(text);
  if (!Array.isArray(nodes)) malformed();
  const made = nodes.map(make);
  const at = (number) =>
    typeof number === "number" && Object.hasOwn(made, number) ? made[number] : malformed();
  // A view needs its buffer; nothing needs a view until it is filled.
  nodes.forEach((node, number) => {
    if (Array.isArray(node) && node[0] === "view") made[number] = viewOf(node, at);
  });
  nodes.forEach((node, number) => {
    if (Array.isArray(node)) FILLERS.get(node[0])?.(made[number], node.slice(1), at);
  });
  return at(0);
}
