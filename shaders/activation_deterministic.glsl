// DETERMINISTIC: the activation functions of activation.glsl. The includer has the constant ACTIVATION.

float sigmoid(float v) { return reciprocal(1.0 + exponential(settled(-v))); }

// The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26).
float erf(float v)
{
    float z = abs(v), t = reciprocal(1.0 + 0.3275911 * z);
    float poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    float y = 1.0 - poly * exponential(settled(-z * z));
    return v < 0.0 ? -y : y;
}

float gate(float v) // what v is multiplied with
{
    if (ACTIVATION == ACTIVATE_NONE) return 1.0;
    if (ACTIVATION == ACTIVATE_RELU) return v > 0.0 ? 1.0 : 0.0;
    if (ACTIVATION == ACTIVATE_SILU) return sigmoid(v);
    if (ACTIVATION == ACTIVATE_QUICK_GELU) return sigmoid(1.702 * v);
    if (ACTIVATION == ACTIVATE_GELU_ERF) return 0.5 + 0.5 * erf(settled(v * 0.70710678));
    float cube = settled(v * v) * v; // 0.5 (1 + tanh(u)) = sigmoid(2u)
    return sigmoid(1.59576912 * (v + 0.044715 * cube));
}

float activate(float v) { return settled(v * settled(gate(v))); } // v is settled
