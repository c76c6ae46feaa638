// The dispatch namespace binding of the plain chain: whatever the name, the one user Worker.
export default (env) => ({ get: () => env.user });
