"""The MQTT connection that the gate's uplink and the centre's collector have in common."""
